// What React Native and Expo give an app, as far as `@better-auth/expo` asks for it: `node --import ./native_modules.mjs expo.mjs BASE`.
import { register } from "node:module";

const modules = {
  "react-native": `export const Platform = { OS: "ios" }; export const AppState = { addEventListener: () => ({ remove() {} }) };`,
  "expo-constants": `export default { expoConfig: { scheme: "countersign-test" } };`,
  "expo-linking": `export const createURL = (path, { scheme } = {}) => (scheme ?? "countersign-test") + "://" + path.replace(/^\\//, "");`,
  "expo-network": `export const addNetworkStateListener = () => ({ remove() {} });`,
};
const hooks = `
  const modules = ${JSON.stringify(modules)};
  export const resolve = (name, context, next) =>
    name in modules ? { url: "data:text/javascript," + encodeURIComponent(modules[name]), shortCircuit: true } : next(name, context);
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
