import { readFile, stat } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { ModelError } from "../errors.js";
import type { Runtime } from "../runtime.js";

/** Settings from environment variables. */
export const settings = {
  get endpoint(): string | undefined {
    return process.env.HF_ENDPOINT || undefined;
  },
  get token(): string | undefined {
    return process.env.HF_TOKEN || undefined;
  },
  readFile: async (address: URL): Promise<Uint8Array> => new Uint8Array(await readFile(address)),
};

/** URL of a local folder; undefined if it does not exist. */
export async function local(path: string): Promise<URL | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile()) throw new ModelError(`${path}: not a folder; expected the folder that contains the model files`);
  return stats ? pathToFileURL(`${path}/`) : undefined;
}

/** onnxruntime: the native build if it is installed, otherwise the WebAssembly build. */
export async function runtime(): Promise<Runtime> {
  const module = (await native()) ?? (await webAssembly());
  if (!module) throw new ModelError("onnxruntime is not installed; run: npm install onnxruntime-node");
  return module.default ?? module;
}

type Loaded = { readonly default?: Runtime } & Runtime;

// Literal names inside `try`: bundlers then find the modules, and accept that one of them is missing.
async function native(): Promise<Loaded | undefined> {
  try {
    return (await import("onnxruntime-node")) as unknown as Loaded;
  } catch (error) {
    return ignoreMissing(error);
  }
}

async function webAssembly(): Promise<Loaded | undefined> {
  try {
    return (await import("onnxruntime-web")) as unknown as Loaded;
  } catch (error) {
    return ignoreMissing(error);
  }
}

function ignoreMissing(error: unknown): undefined {
  // Bundlers and CommonJS loaders have a code without `ERR_`.
  if (/MODULE_NOT_FOUND$/.test(String((error as { code?: string }).code))) return;
  throw new ModelError(`onnxruntime cannot start: ${(error as Error).message}`);
}
