// The same for axios: the token with every request, and a 401 healed once.
import type { AxiosInstance, InternalAxiosRequestConfig } from "axios";
import type { Client } from "./client.js";

type Marked = InternalAxiosRequestConfig & { countersign?: string; replayed?: boolean };

/** Makes an axios instance send the token; returns how to undo it. With `origins` named, others get none. */
export function withCountersign(axios: AxiosInstance, client: Client): () => void {
  const request = axios.interceptors.request.use(async (config: Marked) => {
    if (config.headers.has("authorization") && !config.replayed) return config;
    if (!client.mayGo(axios.getUri(config))) return config;
    const token = config.countersign ?? (await client.getAccessToken());
    if (token) {
      config.countersign = token;
      config.headers.set("authorization", `Bearer ${token}`);
    }
    return config;
  });
  const response = axios.interceptors.response.use(undefined, async (error: { config?: Marked; response?: { status: number } }) => {
    const config = error.config;
    if (error.response?.status !== 401 || !config?.countersign) throw error;
    if (config.replayed) {
      client.giveUp(config.countersign);
      throw error;
    }
    const token = await client.replace(config.countersign).catch(() => null);
    if (!token) throw error;
    return axios.request({ ...config, countersign: token, replayed: true } as Marked);
  });
  return () => {
    axios.interceptors.request.eject(request);
    axios.interceptors.response.eject(response);
  };
}
