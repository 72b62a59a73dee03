/** The part of onnxruntime's JavaScript API used here, common to `onnxruntime-web` and `onnxruntime-node`. */
export interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: object): Promise<Session>;
  };
  readonly Tensor: new (type: "int32", data: Int32Array, dims: readonly number[]) => unknown;
}

/** A loaded network. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: object, fetches?: readonly string[]): Promise<Readonly<Record<string, SessionOutput>>>;
}

/** An output of a network. */
export interface SessionOutput {
  readonly data: unknown;
  readonly dims: readonly number[];
}
