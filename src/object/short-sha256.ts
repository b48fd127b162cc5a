/** SHA-256 (FIPS 180-4) of a short text: Node's own needs 5 ms to get ready, of the 30 that a whole process may take. */

/** The first 32 bits of the fractional parts of the roots of the first primes, square or cube. */
function fractions(count: number, root: (prime: number) => number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) {
    let divisor = 2;
    while (divisor * divisor <= n && n % divisor !== 0) divisor += 1;
    if (divisor * divisor > n) found.push(((root(n) % 1) * 2 ** 32) | 0);
  }
  return found;
}

/** In hex, of the text's UTF-8. For some hundred bytes: it is 30 times slower than `node:crypto`. */
export function shortSha256(text: string): string {
  const constants = fractions(64, Math.cbrt);
  const state = fractions(8, Math.sqrt);
  const message = padded(Buffer.from(text));
  for (let at = 0; at < message.length; at += 64) addBlock(state, message.subarray(at, at + 64), constants);
  return state.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** The message, a one bit, zeros, and its length in bits, to a multiple of 64 bytes. */
function padded(bytes: Buffer): Buffer {
  const message = Buffer.alloc(Math.ceil((bytes.length + 9) / 64) * 64);
  bytes.copy(message);
  message[bytes.length] = 0x80;
  message.writeUInt32BE(bytes.length * 8, message.length - 4);
  return message;
}

function addBlock(state: number[], block: Buffer, constants: readonly number[]): void {
  const words = Array.from({ length: 16 }, (_, n) => block.readInt32BE(4 * n));
  const at = (n: number) => words[n] as number;
  for (let n = 16; n < 64; n++) {
    const [a, b] = [at(n - 15), at(n - 2)];
    const small = turned(a, 7) ^ turned(a, 18) ^ (a >>> 3);
    words.push((at(n - 16) + small + at(n - 7) + (turned(b, 17) ^ turned(b, 19) ^ (b >>> 10))) | 0);
  }
  let [a, b, c, d, e, f, g, h] = state as [number, number, number, number, number, number, number, number];
  for (let n = 0; n < 64; n++) {
    const chosen = (e & f) ^ (~e & g);
    const first =
      h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + chosen + (constants[n] as number) + at(n);
    const second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  for (const [n, word] of [a, b, c, d, e, f, g, h].entries()) state[n] = ((state[n] as number) + word) | 0;
}

function turned(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
