// The same for axios: the token with every request, and a refusal healed once by a refresh and once by a step-up.
import type { AxiosInstance, InternalAxiosRequestConfig } from "axios";
import type { Client } from "./client.js";

type Marked = InternalAxiosRequestConfig & { countersign?: string; again?: ReturnType<Client["attempt"]> };

/** Makes an axios instance send the token; returns how to undo it. With `origins` named, others get none. */
export function withCountersign(axios: AxiosInstance, client: Client): () => void {
  const request = axios.interceptors.request.use(async (config: Marked) => {
    if (config.headers.has("authorization") && !config.again) return config;
    if (!client.mayGo(axios.getUri(config))) return config;
    const again = config.again ?? client.attempt();
    const token = config.countersign ?? (await client.getAccessToken());
    if (token) {
      Object.assign(config, { countersign: token, again });
      config.headers.set("authorization", `Bearer ${token}`);
    }
    return config;
  });
  const response = axios.interceptors.response.use(undefined, async (error: { config?: Marked; response?: { status: number; headers: Record<string, unknown> } }) => {
    const { config, response } = error;
    if (!response || !config?.countersign) throw error;
    const challenge = response.headers["www-authenticate"];
    const token = await config.again!(config.countersign, response.status, challenge ? `${challenge}` : null);
    if (!token) throw error;
    return axios.request({ ...config, countersign: token } as Marked);
  });
  return () => {
    axios.interceptors.request.eject(request);
    axios.interceptors.response.eject(response);
  };
}
