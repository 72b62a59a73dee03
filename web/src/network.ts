import { ModelError } from "./errors.js";
import type { Runtime, Session } from "./runtime.js";

/** An onnxruntime session that converts token ids to probabilities. */
export class Network {
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #labels: number;

  private constructor(runtime: Runtime, session: Session, labels: number) {
    this.#runtime = runtime;
    this.#session = session;
    this.#labels = labels;
  }

  /**
   * Create a session and validate it with a test run.
   *
   * @param labels - Number of labels.
   * @throws ModelError - onnxruntime cannot load it, or its inputs and outputs are not those of an evenmood model.
   */
  static async open(runtime: Runtime, content: Uint8Array, labels: number, attention: boolean): Promise<Network> {
    let session: Session;
    try {
      session = await runtime.InferenceSession.create(content, { executionProviders: PROVIDERS, intraOpNumThreads: 1 });
    } catch (error) {
      const reason = firstLine(error);
      if (reason.includes("backend")) throw new ModelError(`onnxruntime cannot start: ${reason}`);
      throw new ModelError(`model.onnx: corrupt or not an ONNX model (${reason}); download it again`);
    }
    const outputs = attention ? ["probabilities", "attention"] : ["probabilities"];
    if (session.inputNames.join() !== "input_ids" || outputs.some((name) => !session.outputNames.includes(name))) {
      throw new ModelError(`model.onnx: expected input input_ids and outputs ${outputs.join(", ")}; export it again`);
    }
    const network = new Network(runtime, session, labels);
    await network.probabilities([[1, 1]], 2, 0);
    return network;
  }

  /**
   * Predict the probabilities of a batch of texts.
   *
   * @param rows - Token ids of each text.
   * @param length - Length to which the rows are padded.
   */
  async probabilities(rows: readonly (readonly number[])[], length: number, padId: number): Promise<Float32Array[]> {
    const { data, dims } = await this.#run("probabilities", rows, length, padId);
    if (dims[1] !== this.#labels) {
      throw new ModelError(
        `model.onnx: returns ${dims[1]} probabilities for the ${this.#labels} labels of emotions.json`,
      );
    }
    return rows.map((_, row) => data.slice(row * this.#labels, (row + 1) * this.#labels));
  }

  /** Compute the attention weight of each time step for one text. */
  async attention(row: readonly number[], length: number, padId: number): Promise<Float32Array> {
    return (await this.#run("attention", [row], length, padId)).data;
  }

  async #run(output: string, rows: readonly (readonly number[])[], length: number, padId: number) {
    const ids = new Int32Array(rows.length * length).fill(padId);
    for (const [index, row] of rows.entries()) ids.set(row, index * length);
    const input = new this.#runtime.Tensor("int32", ids, [rows.length, length]);
    const result = (await this.#session.run({ input_ids: input }, [output]))[output];
    if (!result) throw new ModelError(`model.onnx: missing output ${output}; export it again`);
    const data = result.data as Float32Array;
    if (!data.every(Number.isFinite)) throw new ModelError("model.onnx: returns non-finite values; export it again");
    return { data, dims: result.dims };
  }
}

/** The Node build names its execution provider `cpu`, the browser build `wasm`. */
const PROVIDERS = typeof process === "object" && process.versions?.node ? ["cpu"] : ["wasm"];

function firstLine(error: unknown): string {
  return (
    String(error instanceof Error ? error.message : error)
      .split("\n")[0]
      ?.slice(0, 200) ?? ""
  );
}
