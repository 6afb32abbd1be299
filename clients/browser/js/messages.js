/**
 * The messages of cmstream.v1 that a page needs, to and from protobuf's wire format (protobuf.dev/programming-guides/encoding).
 * Field numbers are those of protos/cmstream/v1; fields that are not read here are passed over.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;
const JPEG = 2;

/** @typedef {Map<number, number | Uint8Array<ArrayBuffer>>} Fields the last value of every field: varints as numbers, the rest as bytes */

/**
 * @typedef {object} Said what a StreamResponse says; one of these is set
 * @property {{nextFrameId: number, window: number}} [opened]
 * @property {{frameId: number, jpeg: Uint8Array<ArrayBuffer>}} [frame]
 * @property {number} [dropped] id of a frame that gets no result
 */

/** The request that opens a stream with JPEG results. @param {number} quality 1 to 100 */
export function openRequest(quality) {
  return message([[1, message([[3, JPEG], [4, quality]])]]);
}

/** The request that carries one source frame. @param {number} frameId @param {Uint8Array<ArrayBuffer>} jpeg */
export function frameRequest(frameId, jpeg) {
  return message([[2, message([[1, frameId], [2, JPEG], [5, jpeg]])]]);
}

/** @param {Uint8Array<ArrayBuffer>} bytes a StreamResponse @returns {Said} */
export function heard(bytes) {
  const response = fieldsOf(bytes);
  const opened = inside(response, 1);
  if (opened) return { opened: { nextFrameId: number(opened, 3), window: number(inside(opened, 4) ?? new Map(), 1) || 1 } };
  const frame = inside(response, 2);
  if (frame) return { frame: { frameId: number(frame, 1), jpeg: bytesOf(frame, 5) } };
  const dropped = inside(response, 5);
  return dropped ? { dropped: number(dropped, 1) } : {};
}

/** @param {[number, number | Uint8Array<ArrayBuffer>][]} fields @returns {Uint8Array<ArrayBuffer>} */
function message(fields) {
  const parts = fields.flatMap(([field, value]) =>
    typeof value === "number" ? [varint(field * 8 + VARINT), varint(value)] : [varint(field * 8 + LENGTH), varint(value.length), value],
  );
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {number} value @returns {Uint8Array<ArrayBuffer>} */
function varint(value) {
  const groups = [];
  for (; value > 127; value = Math.floor(value / 128)) groups.push((value % 128) | 128); // not >>: ids pass 32 bits
  return new Uint8Array([...groups, value]);
}

/** Throws RangeError for bytes that are cut short. @param {Uint8Array<ArrayBuffer>} bytes @returns {Fields} */
function fieldsOf(bytes) {
  /** @type {Fields} */
  const fields = new Map();
  let at = 0;
  const next = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError("a message is cut short");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = next();
    const kind = tag & 7;
    const value = kind === VARINT ? next() : kind === LENGTH ? next() : kind === FIXED64 ? 8 : kind === FIXED32 ? 4 : NaN;
    if (kind === VARINT) fields.set(tag >>> 3, value);
    else if (!(at + value <= bytes.length)) throw new RangeError("a message is cut short");
    else fields.set(tag >>> 3, bytes.subarray(at, (at += value)));
  }
  return fields;
}

/** @param {Fields} fields @param {number} field @returns {Fields | null} */
function inside(fields, field) {
  const value = fields.get(field);
  return value instanceof Uint8Array ? fieldsOf(value) : null;
}

/** @param {Fields} fields @param {number} field */
function number(fields, field) {
  const value = fields.get(field);
  return typeof value === "number" ? value : 0;
}

/** @param {Fields} fields @param {number} field @returns {Uint8Array<ArrayBuffer>} */
function bytesOf(fields, field) {
  const value = fields.get(field);
  return value instanceof Uint8Array ? value : new Uint8Array();
}
