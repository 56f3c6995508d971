"""Notes, for whom the token names. It verifies offline and knows the issuer alone.

    pip install -r requirements.txt
    uvicorn main:app --port 8000
"""

import logging
import os
import sqlite3
from contextlib import closing
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

ISSUER = os.getenv("ISSUER", "http://localhost:4000")
APP = os.getenv("APP", "http://localhost:5173")
DATABASE = os.getenv("NOTES", "notes.db")

keys = jwt.PyJWKClient(f"{ISSUER}/api/auth/jwks")
bearer = HTTPBearer(auto_error=False)
app = FastAPI()


@app.middleware("http")
async def faults(request: Request, call_next):
    """Inside CORS, so that the page may read that it was a 500."""
    try:
        return await call_next(request)
    except Exception:
        logging.exception("%s %s", request.method, request.url.path)
        return JSONResponse({"detail": "internal error"}, 500)


app.add_middleware(CORSMiddleware, allow_origins=[APP], allow_methods=["GET", "POST"], allow_headers=["authorization", "content-type"])


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE)
    connection.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, text TEXT NOT NULL)")
    return connection


def get_current_user(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> dict:
    if credentials is None:
        raise HTTPException(401, "missing token", {"WWW-Authenticate": "Bearer"})
    token = credentials.credentials
    try:
        key = keys.get_signing_key_from_jwt(token)
        options = {"require": ["exp", "iss", "aud", "sub"]}
        verified = jwt.decode_complete(token, key, algorithms=["EdDSA"], audience=ISSUER, issuer=ISSUER, options=options)
        # RFC 9068: other tokens of the same issuer are no access tokens. PyJWT does not look at this header by itself.
        if str(verified["header"].get("typ")).lower() not in ("at+jwt", "application/at+jwt"):
            raise jwt.InvalidTokenError("not an access token")
        return verified["payload"]
    except jwt.PyJWKClientConnectionError as error:
        # The keys could not be fetched: that says nothing about the token.
        raise HTTPException(503, "the keys cannot be fetched", {"Retry-After": "1"}) from error
    except jwt.PyJWTError as error:
        raise HTTPException(401, "invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from error


def get_admin(user: Annotated[dict, Depends(get_current_user)]) -> dict:
    if "admin" not in user["roles"]:
        raise HTTPException(403, "for admins")
    return user


User = Annotated[dict, Depends(get_current_user)]


class Note(BaseModel):
    text: str = Field(min_length=3, max_length=200)


@app.get("/notes")
def read(user: User) -> list[dict]:
    with closing(database()) as db:
        return [{"id": id, "text": text} for id, text in db.execute("SELECT id, text FROM notes WHERE owner = ? ORDER BY id", (user["sub"],))]


@app.post("/notes", status_code=201)
def write(note: Note, user: User) -> dict:
    with closing(database()) as db, db:
        row = db.execute("INSERT INTO notes (owner, text) VALUES (?, ?) RETURNING id", (user["sub"], note.text)).fetchone()
    return {"id": row[0], "text": note.text}


@app.get("/admin/report")
def report(_: Annotated[dict, Depends(get_admin)]) -> dict:
    with closing(database()) as db:
        return {"users": db.execute("SELECT count(DISTINCT owner) FROM notes").fetchone()[0]}


@app.get("/fail")
def fail(_: User) -> None:
    raise RuntimeError("on purpose")
