import { createCountersign } from "@countersign/web";

export const AUTH = import.meta.env.VITE_AUTH ?? "http://localhost:4000";
export const API = import.meta.env.VITE_API ?? "http://localhost:8000";

/** Who is signed in. The token goes to our own backend and to nobody else. */
export const auth = createCountersign({ baseURL: AUTH, origins: [API] });
