"""Who may call: tokens, their scopes, and the record of what was asked for."""
