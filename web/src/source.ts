import { local, settings } from "#platform";
import { ModelError, UsageError } from "./errors.js";

/** Files of a model. */
export const MODEL_FILES = ["emotions.json", "tokenizer.json", "model.onnx"] as const;

/** Name of a file of a model. */
export type ModelFile = (typeof MODEL_FILES)[number];

/** Contents of the files of a model. */
export type ModelFiles = Readonly<Record<ModelFile, Uint8Array>>;

/** Progress of a download: bytes of one file; `total` is undefined if the server does not send it. */
export interface DownloadProgress {
  readonly file: ModelFile;
  readonly loaded: number;
  readonly total: number | undefined;
}

/** Options for locating and downloading a model. */
export interface SourceOptions {
  /** Branch, tag or commit of a model on the Hub; default: `main`. */
  readonly revision?: string | undefined;
  /** Access token for private models on the Hub; default: HF_TOKEN in Node, none in browsers. */
  readonly token?: string | undefined;
  /** URL of the Hub; default: HF_ENDPOINT in Node, otherwise https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** Called with the progress of each file. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Signal that cancels the download. */
  readonly signal?: AbortSignal | undefined;
}

/** Addresses of the bundled model, spelled out file by file: bundlers copy only what they find in this form. */
const BUNDLED: Readonly<Record<ModelFile, () => URL>> = {
  "emotions.json": () => new URL("../model/emotions.json", import.meta.url),
  "tokenizer.json": () => new URL("../model/tokenizer.json", import.meta.url),
  "model.onnx": () => new URL("../model/model.onnx", import.meta.url),
};
const HUB = "https://huggingface.co";
const HUB_ID = /^[\w-][\w.-]*\/(?!\.{1,2}$)[\w.-]+$/;
const TOKEN = /^[\x21-\x7e]+$/;
const ADDRESS = /^(?:https?|file|blob|data|chrome-extension|moz-extension):/;

/**
 * Read the files of a model.
 *
 * @param model - URL, path or Hub id; default: `fast`, the bundled model.
 * @throws ModelError - The model does not exist, or cannot be downloaded.
 */
export async function readModel(model: string | URL | undefined, options: SourceOptions): Promise<ModelFiles> {
  const { revision } = options;
  if (revision !== undefined && (typeof revision !== "string" || !revision.trim())) {
    throw new UsageError(`revision: expected a branch, tag or commit, not ${shownValue(revision)}`);
  }
  const read = await reader(model, options);
  const contents = await Promise.all(MODEL_FILES.map(read));
  return Object.fromEntries(MODEL_FILES.map((file, index) => [file, contents[index]])) as unknown as ModelFiles;
}

async function reader(
  model: string | URL | undefined,
  options: SourceOptions,
): Promise<(file: ModelFile) => Promise<Uint8Array>> {
  if (model === undefined || model === "fast") return (file) => download(bundled(file), file, {}, options);
  if (model === "accurate") {
    throw new ModelError("accurate: only the fast model is bundled; pass the URL or path of the model's folder");
  }
  if (model instanceof URL) return at(model, options);
  if (typeof model !== "string" || !model.trim()) {
    throw new UsageError(`model: expected a Hub id, a URL or a path, not ${shownValue(model)}`);
  }
  if (ADDRESS.test(model)) return at(parsedUrl("model", model), options);
  const folder = await local(model);
  if (folder) return at(folder, options);
  if (!HUB_ID.test(model)) {
    throw new ModelError(`${model}: no such folder, and not a Hub id; expected OWNER/NAME, a URL or a path`);
  }
  const endpoint = (options.endpoint ?? settings.endpoint ?? HUB).replace(/\/+$/, "");
  const revision = encodeURIComponent(options.revision ?? "main");
  const token = (options.token ?? settings.token)?.trim();
  // fetch would reject it with a message that shows the token.
  if (token && !TOKEN.test(token)) throw new UsageError("token: expected printable ASCII characters without spaces");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const base = parsedUrl("endpoint", `${endpoint}/${model}/resolve/${revision}/`);
  return (file) => download(new URL(file, base), file, headers, options);
}

function bundled(file: ModelFile): URL {
  try {
    return BUNDLED[file]();
  } catch {
    // Bundles that are not ES modules have no `import.meta.url`.
    throw new ModelError("the bundled model cannot be located in a script that is not an ES module; pass its URL");
  }
}

function parsedUrl(name: string, address: string): URL {
  try {
    return new URL(address);
  } catch {
    throw new UsageError(`${name}: expected a URL such as https://example.com/model, not ${address}`);
  }
}

function shownValue(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function at(folder: URL, options: SourceOptions): (file: ModelFile) => Promise<Uint8Array> {
  const base = new URL(folder);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return (file) => download(new URL(file, base), file, {}, options);
}

async function download(
  address: URL,
  file: ModelFile,
  headers: Readonly<Record<string, string>>,
  options: SourceOptions,
): Promise<Uint8Array> {
  const shown = `${address.origin === "null" ? "" : address.origin}${address.pathname}`;
  if (address.protocol === "file:" && settings.readFile) {
    try {
      return await settings.readFile(address);
    } catch (error) {
      throw new ModelError(
        `${shown}: ${(error as { code?: string }).code === "ENOENT" ? "no such file" : String(error)}`,
      );
    }
  }
  const { signal, onProgress } = options;
  const failed = (problem: string, error: unknown): unknown => {
    if (signal?.aborted) return error;
    const cause = (error as { cause?: { message?: string } }).cause?.message ?? String((error as Error).message);
    return new ModelError(`${shown}: ${problem} (${cause})`);
  };
  let response: Response;
  try {
    response = await fetch(address, { headers, ...(signal ? { signal } : {}) });
  } catch (error) {
    throw failed("cannot be reached", error);
  }
  if (!response.ok) throw new ModelError(`${shown}: ${refusal(response.status)}`);
  return await received(
    response,
    (loaded, total) => onProgress?.({ file, loaded, total }),
    (error) => failed("download interrupted", error),
  );
}

async function received(
  response: Response,
  progress: (loaded: number, total?: number) => void,
  failed: (error: unknown) => unknown,
): Promise<Uint8Array> {
  const encoded = response.headers.get("content-encoding");
  const length = Number(response.headers.get("content-length"));
  const total = encoded || !length ? undefined : length;
  const chunks: BlobPart[] = [];
  let loaded = 0;
  const stream = response.body?.getReader();
  for (;;) {
    const part = await stream?.read().catch((error: unknown) => Promise.reject(failed(error)));
    if (!part || part.done) break;
    chunks.push(part.value);
    loaded += part.value.length;
    progress(loaded, total);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function refusal(status: number): string {
  if (status === 401 || status === 403) return `access denied (HTTP ${status}); a private model needs a token`;
  if (status === 404) return "not found (HTTP 404); check the name and the revision";
  return `HTTP ${status}`;
}
