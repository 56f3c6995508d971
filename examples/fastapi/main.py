"""A FastAPI backend that knows the JWKS URL and a library, and nothing else of Countersign.

    pip install -r requirements.txt
    uvicorn main:app --port 8000
    curl -H "Authorization: Bearer $ACCESS_TOKEN" localhost:8000/me
"""

import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

ISSUER = os.getenv("ISSUER", "http://localhost:4000")
AUDIENCE = os.getenv("AUDIENCE", ISSUER)

# One client for the process. It caches the key set for five minutes and fetches again when it meets an unknown key.
keys = jwt.PyJWKClient(os.getenv("JWKS_URL", f"{ISSUER}/api/auth/jwks"), lifespan=float(os.getenv("JWKS_CACHE", "300")))
bearer = HTTPBearer(auto_error=False)
app = FastAPI()


def get_current_user(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> dict:
    """The claims of a good token. Not async: the client blocks while it fetches, so FastAPI runs this in its thread pool."""
    if credentials is None:
        raise HTTPException(401, "missing token", {"WWW-Authenticate": "Bearer"})
    try:
        key = keys.get_signing_key_from_jwt(credentials.credentials)
        token = jwt.decode_complete(
            credentials.credentials,
            key,
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        # RFC 9068: other tokens of the same issuer, signed by the same key, are no access tokens. PyJWT does not look at this header by itself.
        if str(token["header"].get("typ")).lower() not in ("at+jwt", "application/at+jwt"):
            raise jwt.InvalidTokenError("not an access token")
        return token["payload"]
    except jwt.PyJWKClientConnectionError as error:
        # The keys could not be fetched: that says nothing about the token.
        raise HTTPException(503, "the keys cannot be fetched", {"Retry-After": "1"}) from error
    except jwt.PyJWTError as error:
        raise HTTPException(401, f"invalid token: {error}", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from error


@app.get("/me")
def me(user: Annotated[dict, Depends(get_current_user)]) -> dict:
    return {"sub": user["sub"], "email": user["email"], "roles": user["roles"]}
