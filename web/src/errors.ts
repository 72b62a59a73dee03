/** Base class of the errors that this package throws. */
export class EvenmoodError extends Error {
  override name = "EvenmoodError";
}

/** A model cannot be loaded: it is missing, corrupt, or in an unsupported format. */
export class ModelError extends EvenmoodError {
  override name = "ModelError";
}

/** An argument is invalid, such as an unknown label or a threshold outside [0, 1]. */
export class UsageError extends EvenmoodError {
  override name = "UsageError";
}
