// Websocket frames, base64 audio and clocks, as the load generator and the limit need them. No claim to completeness: both only talk to each
// other and to the relays under test, and whatever does not have the exact shape expected here is counted as wrong.
#ifndef VOICEASSIST_BENCH_WIRE_H
#define VOICEASSIST_BENCH_WIRE_H
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRAME_RAW = 160, FRAME_TEXT = 216, HEAD_RAW = 9, HEAD_TEXT = 12, FILLS = 64 };
static unsigned char fill_raw[FILLS][FRAME_RAW - HEAD_RAW];
static char fill_text[FILLS][FRAME_TEXT - HEAD_TEXT + 1];
static uint64_t random_state = 0x9E3779B97F4A7C15ull;

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline uint64_t cpu_ns(clockid_t clock) {
  struct timespec t;
  return clock_gettime(clock, &t) ? 0 : (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline uint32_t next_random(void) {
  random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 16);
}

// XORs `n` bytes with a 4 byte key, eight at a time.
static inline void mask_with(unsigned char *p, size_t n, uint32_t key) {
  uint64_t wide = (uint64_t)key << 32 | key, word;
  for (; n >= 8; n -= 8, p += 8) memcpy(&word, p, 8), word ^= wide, memcpy(p, &word, 8);
  for (size_t i = 0; i < n; i++) p[i] ^= (unsigned char)(key >> (8 * i));
}

// The audio of one frame: who it is (track, call, number), then filler; every frame of a run is another one.
static inline void frame_head(unsigned char head[HEAD_RAW], int track, int call, uint32_t number) {
  head[0] = 'V', head[1] = 'A', head[2] = (unsigned char)track, head[3] = (unsigned char)(call >> 8), head[4] = (unsigned char)call;
  for (int i = 0; i < 4; i++) head[5 + i] = (unsigned char)(number >> (24 - 8 * i));
}

static inline void frame_text(char out[FRAME_TEXT], int track, int call, uint32_t number) {
  unsigned char head[HEAD_RAW], text[HEAD_TEXT + 1];
  frame_head(head, track, call, number);
  EVP_EncodeBlock(text, head, HEAD_RAW);
  memcpy(out, text, HEAD_TEXT);
  memcpy(out + HEAD_TEXT, fill_text[number % FILLS], FRAME_TEXT - HEAD_TEXT);
}

static inline void frame_raw(unsigned char out[FRAME_RAW], int track, int call, uint32_t number) {
  frame_head(out, track, call, number);
  memcpy(out + HEAD_RAW, fill_raw[number % FILLS], FRAME_RAW - HEAD_RAW);
}

static inline void make_fills(void) {
  for (int i = 0; i < FILLS; i++) {
    for (size_t k = 0; k < sizeof fill_raw[i]; k++) fill_raw[i][k] = (unsigned char)next_random();
    EVP_EncodeBlock((unsigned char *)fill_text[i], fill_raw[i], sizeof fill_raw[i]);
  }
}

// One websocket frame in a buffer: header and mask are taken off in place.
typedef struct { int opcode, final, masked; unsigned char *body; size_t size, whole; } ws_frame;

// 1: a whole frame, 0: more bytes are needed.
static inline int ws_next(unsigned char *p, size_t n, ws_frame *f) {
  if (n < 2) return 0;
  size_t size = p[1] & 127, head = 2;
  if (size == 126) {
    if (n < 4) return 0;
    size = (size_t)p[2] << 8 | p[3], head = 4;
  } else if (size == 127) {
    if (n < 10) return 0;
    size = 0, head = 10;
    for (int i = 2; i < 10; i++) size = size << 8 | p[i];
  }
  f->masked = p[1] >> 7, f->opcode = p[0] & 15, f->final = p[0] >> 7;
  size_t body = head + (f->masked ? 4 : 0);
  if (n < body || n - body < size) return 0;
  f->body = p + body, f->size = size, f->whole = body + size;
  if (f->masked) {
    uint32_t key;
    memcpy(&key, p + head, 4);
    mask_with(f->body, size, key);
  }
  return 1;
}

// Writes the header of a frame of `size` (under 64 KiB) bytes; the body follows at the returned offset and is to be masked by the caller.
static inline size_t ws_head(unsigned char *out, int opcode, size_t size, int masked, uint32_t key) {
  size_t at = 2;
  out[0] = (unsigned char)(0x80 | opcode);
  if (size < 126) {
    out[1] = (unsigned char)size;
  } else {
    out[1] = 126, out[2] = (unsigned char)(size >> 8), out[3] = (unsigned char)size, at = 4;
  }
  if (!masked) return at;
  out[1] |= 0x80;
  memcpy(out + at, &key, 4);
  return at + 4;
}

// The answer to an upgrade request that has arrived whole; its length, or 0 if it has no key.
static inline int ws_accept(const char *request, char *out, size_t room) {
  const char *key = strcasestr(request, "sec-websocket-key:");
  if (!key) return 0;
  key += 18, key += strspn(key, " ");
  char joined[128];
  size_t n = strcspn(key, "\r\n");
  if (n > 64) return 0;
  memcpy(joined, key, n);
  strcpy(joined + n, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char digest[20], text[32];
  SHA1((unsigned char *)joined, strlen(joined), digest);
  EVP_EncodeBlock(text, digest, 20);
  return snprintf(out, room, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", text);
}
#endif
