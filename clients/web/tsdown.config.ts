// How the package is built: two ES modules with types and source maps.
import { defineConfig } from "tsdown";

export default defineConfig({
  entry: ["src/index.ts", "src/axios.ts"],
  format: "esm",
  platform: "browser",
  target: "es2022",
  dts: true,
  sourcemap: true,
  minify: true,
  fixedExtension: false,
});
