// The page of an application: React, and the npm client for this service. Tests use `window.client` as its code would.
import { passkeyClient } from "@better-auth/passkey/client";
import { adminClient, jwtClient, twoFactorClient } from "better-auth/client/plugins";
import { createAuthClient } from "better-auth/react";
import { createRoot } from "react-dom/client";

const client = createAuthClient({ baseURL: document.documentElement.dataset.auth, plugins: [jwtClient(), adminClient(), twoFactorClient(), passkeyClient()] });
window.client = client;

function Who() {
  const { data, isPending } = client.useSession();
  return <p id="who">{isPending ? "…" : data ? `${data.user.name} <${data.user.email}>` : "signed out"}</p>;
}

createRoot(document.querySelector("#root")).render(<Who />);
