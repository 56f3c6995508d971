"""A FastAPI backend with python-jose, which knows RSA and P-256 but no Ed25519: it needs an audience of its own whose algorithm is RS256.

    # countersign.toml
    [[audiences]]
    name = "backend"
    audience = "https://backend.example.com"
    algorithm = "RS256"

    pip install -r requirements.txt
    uvicorn main:app --port 8000
    curl -H "Authorization: Bearer $ACCESS_TOKEN" localhost:8000/me

The key set is fetched once and kept as long as the process lives. The next key is published a whole rotation before it signs, so one rotation
passes unnoticed; the key after it is unknown here until the backend is restarted. Restart it within each `keys.rotation`, or take a library that
fetches again when it meets an unknown key, such as PyJWT (examples/fastapi).
"""

import functools
import os
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jose import JWTError, jwt

ISSUER = os.getenv("ISSUER", "http://localhost:4000")
AUDIENCE = os.getenv("AUDIENCE", "https://backend.example.com")
# The set of this audience alone. In a set with keys of several types, python-jose ends at the first that is not of the token's type.
JWKS_URL = os.getenv("JWKS_URL", f"{ISSUER}/api/auth/jwks/backend")

bearer = HTTPBearer(auto_error=False)
app = FastAPI()


@functools.lru_cache
def jwks() -> dict:
    return httpx.get(JWKS_URL).raise_for_status().json()


def get_current_user(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> dict:
    """The claims of a good token. Not async: the first request blocks while it fetches, so FastAPI runs this in its thread pool."""
    if credentials is None:
        raise HTTPException(401, "missing token", {"WWW-Authenticate": "Bearer"})
    try:
        claims = jwt.decode(
            credentials.credentials,
            jwks(),
            algorithms=["RS256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require_exp": True, "require_iss": True, "require_aud": True, "require_sub": True},
        )
        # RFC 9068: other tokens of the same issuer, signed by the same key, are no access tokens. python-jose does not look at this header by itself.
        if str(jwt.get_unverified_header(credentials.credentials).get("typ")).lower() not in ("at+jwt", "application/at+jwt"):
            raise JWTError("not an access token")
        return claims
    except httpx.HTTPError as error:
        # The keys could not be fetched: that says nothing about the token.
        raise HTTPException(503, "the keys cannot be fetched", {"Retry-After": "1"}) from error
    except JWTError as error:
        raise HTTPException(401, f"invalid token: {error}", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from error


@app.get("/me")
def me(user: Annotated[dict, Depends(get_current_user)]) -> dict:
    return {"sub": user["sub"], "email": user["email"], "roles": user["roles"]}
