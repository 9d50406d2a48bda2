// Numbers as attributes take them.
import { refuse } from "./errors.ts";

/** A decimal, octal or hexadecimal number up to the end or the first newline, as kernels up to 6.12 take it. */
export function kernelNumber(text: string): bigint {
  const digits = text.split("\n", 1)[0] ?? "";
  if (/^0[xX][0-9a-fA-F]+$/.test(digits)) return BigInt(digits);
  if (/^0[0-7]+$/.test(digits)) return BigInt(`0o${digits.slice(1)}`);
  if (/^\d+$/.test(digits)) return BigInt(digits);
  return refuse("EINVAL");
}
