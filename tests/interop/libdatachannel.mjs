/**
 * libdatachannel.mjs BASE STREAM MEDIA FILM OUT SECONDS: publishes as OBS does (its WHIP output is libdatachannel), and views with
 * the same library. MEDIA is "audio", "video" or "audio,video"; FILM is H264 in Annex B, one access unit delimiter a frame; what
 * the viewer gets is written to OUT in the same form. Prints one line of JSON.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import rtc from "node-datachannel";

const [base, stream, media, film, out, seconds] = process.argv.slice(2);
const RATE_HZ = 30;
const START = Buffer.from([0, 0, 0, 1]);
const SILENCE = Buffer.from([0xf8, 0xff, 0xfe]); // 20 ms of it as Opus (RFC 6716, 3.1)
const PARAMETER_SETS = [7, 8];

/** Offers as OBS does: no candidates in the offer, no trickle, 8 seconds for the answer. */
async function negotiate(pc, url) {
  pc.setLocalDescription("offer");
  const offer = pc.localDescription().sdp.split("\r\n").filter((line) => !/^a=(candidate|end-of-candidates)/.test(line)).join("\r\n");
  const began = performance.now();
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer, signal: AbortSignal.timeout(8_000) });
  const text = await answer.text();
  const told = { offer, status: answer.status, ms: performance.now() - began, session: answer.headers.get("Location"), text };
  if (answer.status === 201) pc.setRemoteDescription(text, "answer");
  return told;
}

function connected(pc) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not connected: ${pc.state()}`)), 10_000);
    pc.onStateChange((state) => {
      if (state !== "connected") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function publisher() {
  const pc = new rtc.PeerConnection("publisher", { iceServers: [] });
  const tracks = {};
  if (media.includes("audio")) {
    const audio = new rtc.Audio("0", "SendOnly");
    audio.addOpusCodec(111);
    audio.addSSRC(1000, "cname", "obs", "obs-audio");
    tracks.audio = pc.addTrack(audio);
  }
  if (media.includes("video")) {
    const video = new rtc.Video("1", "SendOnly");
    video.addH264Codec(96);
    video.addSSRC(1001, "cname", "obs", "obs-video");
    tracks.config = new rtc.RtpPacketizationConfig(1001, "cname", 96, 90_000);
    const packetizer = new rtc.H264RtpPacketizer("StartSequence", tracks.config, 1200);
    packetizer.addToChain(new rtc.RtcpSrReporter(tracks.config));
    packetizer.addToChain(new rtc.RtcpNackResponder());
    tracks.video = pc.addTrack(video);
    tracks.video.setMediaHandler(packetizer);
  }
  return { pc, tracks };
}

/** The access units of an Annex B file whose units begin with delimiters. */
function accessUnits(data) {
  const delimiter = Buffer.concat([START, Buffer.from([9])]);
  const units = [];
  for (let at = data.indexOf(delimiter); at >= 0; ) {
    const next = data.indexOf(delimiter, at + 5);
    units.push(data.subarray(at, next < 0 ? data.length : next));
    at = next;
  }
  return units;
}

/** Sends the film over and over, and silence beside it, until told to stop. */
function send(tracks) {
  const units = accessUnits(readFileSync(film));
  const began = performance.now();
  let frames = 0;
  let packets = 0;
  const timer = setInterval(() => {
    const elapsed = (performance.now() - began) / 1000;
    for (; tracks.video && frames < elapsed * RATE_HZ; frames++) {
      tracks.video.sendMessageBinary(units[frames % units.length]);
      tracks.config.timestamp += 90_000 / RATE_HZ;
    }
    for (; tracks.audio && packets < elapsed * 50; packets++) tracks.audio.sendMessageBinary(silence(packets));
  }, 5);
  return () => {
    clearInterval(timer);
    return { frames, packets };
  };
}

/** An RTP packet (RFC 3550, 5.1) of 20 ms of silence. */
function silence(number) {
  const head = Buffer.alloc(12);
  head.writeUInt8(0x80, 0);
  head.writeUInt8(111, 1);
  head.writeUInt16BE(number & 0xffff, 2);
  head.writeUInt32BE((number * 960) >>> 0, 4);
  head.writeUInt32BE(1000, 8);
  return Buffer.concat([head, SILENCE]);
}

/** H264 payloads back into Annex B (RFC 6184, 5.6 to 5.8). */
class Film {
  constructor() {
    this.parts = [];
    this.packets = 0;
    this.begun = false;
  }

  take(packet) {
    if ((packet[1] & 0x7f) >= 64 && (packet[1] & 0x7f) < 96) return; // RTCP (RFC 5761, 4)
    const payload = packet.subarray(12 + 4 * (packet[0] & 15) + extension(packet), packet.length - padding(packet));
    if (!payload.length) return;
    this.packets++;
    const type = payload[0] & 31;
    if (type === 24) for (let at = 1; at + 2 < payload.length; at += 2 + payload.readUInt16BE(at)) this.unit(payload.subarray(at + 2, at + 2 + payload.readUInt16BE(at)));
    else if (type === 28) this.fragment(payload);
    else this.unit(payload);
  }

  fragment(payload) {
    if (payload[1] & 0x80) this.unit(Buffer.concat([Buffer.from([(payload[0] & 0xe0) | (payload[1] & 31)]), payload.subarray(2)]));
    else if (this.begun) this.parts.push(payload.subarray(2));
  }

  unit(nal) {
    this.begun ||= PARAMETER_SETS.includes(nal[0] & 31);
    if (this.begun) this.parts.push(START, nal);
  }
}

function extension(packet) {
  if (!(packet[0] & 0x10)) return 0;
  return 4 + 4 * packet.readUInt16BE(12 + 4 * (packet[0] & 15) + 2);
}

function padding(packet) {
  return packet[0] & 0x20 ? packet[packet.length - 1] : 0;
}

async function view() {
  const pc = new rtc.PeerConnection("viewer", { iceServers: [] });
  const video = new rtc.Video("0", "RecvOnly");
  video.addH264Codec(96);
  const track = pc.addTrack(video);
  track.setMediaHandler(new rtc.RtcpReceivingSession());
  const got = new Film();
  track.onMessage((packet) => got.take(Buffer.from(packet)));
  const ready = connected(pc);
  const told = await negotiate(pc, `${base}/whep/${stream}`);
  if (told.status === 201) await ready;
  return { pc, told, got };
}

async function end(told) {
  return (await fetch(new URL(told.session, base), { method: "DELETE" })).status;
}

async function main() {
  const { pc, tracks } = publisher();
  const ready = connected(pc);
  ready.catch(() => {}); // an offer that is refused never connects
  const published = await negotiate(pc, `${base}/whip/${stream}`);
  if (published.status !== 201) return { published };
  await ready;
  const stop = send(tracks);
  await pause(500);
  const viewer = await view();
  await pause(1000 * Number(seconds));
  const sent = stop();
  const state = await (await fetch(`${base}/api/v1/streams/${stream}`)).json();
  const deleted = { viewer: await end(viewer.told) };
  viewer.pc.close();
  pc.close(); // first the connection, then the session, as OBS does
  await pause(300);
  deleted.publisher = await end(published);
  writeFileSync(out, Buffer.concat(viewer.got.parts));
  return { published, viewed: viewer.told, sent, packets: viewer.got.packets, state, deleted };
}

const told = await main();
process.stdout.write(`${JSON.stringify(told)}\n`, () => process.exit(0)); // rtc.cleanup() races with the library's own threads
