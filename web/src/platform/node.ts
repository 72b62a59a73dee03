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
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) throw new ModelError(`${path}: not a folder; expected the folder that contains the model files`);
  return found ? pathToFileURL(`${path}/`) : undefined;
}

/** onnxruntime: the native build if it is installed, otherwise the WebAssembly build. */
export async function runtime(): Promise<Runtime> {
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      const found = (await import(name)) as { default?: Runtime } & Runtime;
      return found.default ?? found;
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    }
  }
  throw new ModelError("onnxruntime is not installed: npm install onnxruntime-node");
}
