"""FastAPI, uvicorn and a row of SQLite, and nothing of ours: ``python -m bench.bare_app PORT [DATABASE]``.

``GET /readyz``, and with a database ``GET /jobs/{job_id}``, whose rows are documents as the service answers them.
"""

import json
import sqlite3
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/readyz")
def readyz() -> dict[str, Any]:
    """At once."""
    return {"ready": True}


def serve_documents(path: str) -> None:
    """One more route, as a tutorial would have it."""
    database = sqlite3.connect(path, check_same_thread=False)

    @app.get("/jobs/{job_id}")
    def get_job(job_id: str) -> dict[str, Any]:
        (document,) = database.execute("SELECT document FROM job WHERE id = ?", (job_id,)).fetchone()
        found: dict[str, Any] = json.loads(document)
        return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        serve_documents(sys.argv[2])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
