/** Base class of the errors that this package throws. */
export class EvenmoodError extends Error {
  override name = "EvenmoodError";
}

/** A model that cannot be loaded: missing, damaged, or of an unsupported format. */
export class ModelError extends EvenmoodError {
  override name = "ModelError";
}

/** An invalid argument: an unknown label, a threshold outside [0, 1]. */
export class UsageError extends EvenmoodError {
  override name = "UsageError";
}
