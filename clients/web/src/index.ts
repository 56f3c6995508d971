// What the package offers: a client for one service, its errors, its types.
import { Client } from "./client.js";
import { environment } from "./environment.js";
import type { Options } from "./types.js";

export type { Client } from "./client.js";
export { CountersignError, SecondStepRequired, StepUpRequired } from "./service.js";
export type { ChangePassword, Device, Options, Proven, SecondStep, Session, SignIn, SignUp, State, StepUp, StepUpNeeded, User } from "./types.js";

/** A client for one service. Nothing happens before it is first used; importing and making it is safe on a server. */
export function createCountersign(options: Options): Client {
  return new Client(options, environment());
}
