import { ModelError } from "../errors.js";
import type { Runtime } from "../runtime.js";

/** Settings from environment variables; a page has none. */
export const settings: {
  readonly endpoint?: string;
  readonly token?: string;
  readonly readFile?: (address: URL) => Promise<Uint8Array>;
} = {};

/** URL of a path on the site of the page; undefined if it may be a Hub id. */
export async function local(path: string): Promise<URL | undefined> {
  return /^\.{0,2}\//.test(path) ? new URL(path, globalThis.location.href) : undefined;
}

/** onnxruntime's WebAssembly build. */
export async function runtime(): Promise<Runtime> {
  // `import` is outside `try`, so bundlers report a missing module at build time.
  const load = async (): Promise<unknown> => await import("onnxruntime-web/wasm");
  try {
    return (await load()) as Runtime;
  } catch (error) {
    throw new ModelError(
      `onnxruntime-web cannot be loaded (${(error as Error).message}); install it, or name it in the import map`,
    );
  }
}
