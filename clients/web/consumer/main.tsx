// An application with TypeScript's strictest settings: it must compile against what `npm pack` makes.
import { type CountersignError, createCountersign, type Device, type Proven, SecondStepRequired, type Session, type State, type StepUpNeeded, StepUpRequired, type User } from "@countersign/web";
import { withCountersign } from "@countersign/web/axios";
import axios from "axios";
import { useSyncExternalStore } from "react";

/** A form that asks for what the backend wants. */
const onStepUp = ({ methods, enrol, acrValues, maxAge }: StepUpNeeded): boolean => window.confirm(`${methods.concat(enrol ?? []).join()} ${acrValues ?? ""} ${maxAge ?? ""}`);
const auth = createCountersign({ baseURL: "https://auth.example.com", origins: ["https://api.example.com"], onStepUp });
export const api = axios.create({ baseURL: "https://api.example.com" });
export const undo: () => void = withCountersign(api, auth);

export function useAuth(): State {
  return useSyncExternalStore(auth.subscribe, auth.getSnapshot, auth.getServerSnapshot);
}

/** What Svelte calls a store. */
export const store: { subscribe(run: (value: State) => void): () => void } = auth;

export async function everything(): Promise<string> {
  const made: { user: User; signedIn: boolean } = await auth.signUp({ name: "Ana", email: "ana@example.com", password: "a good long password" });
  const user: User = await auth.signIn({ email: made.user.email, password: "a good long password", rememberMe: false }).catch((error: unknown) => {
    if (!(error instanceof SecondStepRequired)) throw error;
    if (error.enrol?.length) return auth.secondStep({ emailCode: "123456" });
    return auth.secondStep(error.methods.includes("totp") ? { code: "123456", trustDevice: true } : { recoveryCode: "AAAA-BBBB-CCCC-DDDD" });
  });
  const known: { user: User; session: Session } | null = await auth.session({ fresh: true });
  const token: string | null = await auth.getAccessToken();
  const answer: Response = await auth.fetch("https://api.example.com/notes", { method: "POST", body: JSON.stringify({ text: "hello" }) });
  await auth.changePassword({ currentPassword: "a good long password", newPassword: "another good password" });
  const proven: Proven = await auth.stepUp({ acrValues: "urn:countersign:acr:2fa", maxAge: 300, code: "123456" }).catch((error: unknown) => {
    if (!(error instanceof StepUpRequired)) throw error;
    return auth.stepUp(error.methods.includes("password") ? { password: "another good password" } : {});
  });
  const devices: Device[] = await auth.call<Device[]>("/list-sessions");
  const state: State = auth.getSnapshot();
  const says: string = state.status === "error" ? (state.hint ?? state.error?.message ?? "") : user.roles.concat(user.permissions).join();
  await auth.signOut({ everywhere: true }).catch((error: CountersignError) => error.errors["email"]?.[0] ?? error.code);
  auth.close();
  return `${user.id} ${user.twoFactorEnabled} ${known?.session.expiresAt ?? "none"} ${proven.acr} ${proven.amr.join()} ${proven.authTime} ${says} ${devices.length} ${token ?? "none"} ${answer.status}`;
}
