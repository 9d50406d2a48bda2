// A stream of bytes to another process and back, as the core's `connectAbstract` gives it. Part of `Native` (native-types.ts passes it on).
import type { CallOptions } from "./native-types.ts";

/**
 * Failures: O2CB_SERVICE_UNAVAILABLE where the other end is gone (EPIPE, ECONNRESET), O2CB_IO, O2CB_ABORTED. What came before is read first.
 * It keeps the process alive only while a call is under way. Its descriptor is close-on-exec.
 */
export interface ByteChannel {
  /** All of it; no other write may be under way. Few bytes, as a frame has, go with one write(2). */
  write(bytes: Uint8Array, options?: CallOptions): Promise<void>;
  /** At least one byte and at most `max`, in their order; none where the other end has ended its stream. One call at a time. */
  read(max: number, options?: CallOptions): Promise<Uint8Array>;
  /** how many bytes are known to wait for `read` */
  readonly buffered: number;
  /** Ends our stream; the other one can still be read (shutdown(2) of the writing half). */
  end(): void;
  /** Closes the descriptor at once; a call under way fails with O2CB_ABORTED. Twice does nothing. */
  close(): void;
}
