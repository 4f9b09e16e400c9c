"""The pages of docs/reference, made of the code they describe: ``python -m reference``, or ``make docs``."""
