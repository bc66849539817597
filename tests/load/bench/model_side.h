// The model's server side: takes websockets (plain or TLS), answers what a session needs, and checks each append to the byte.
#ifndef VOICEASSIST_BENCH_MODEL_SIDE_H
#define VOICEASSIST_BENCH_MODEL_SIDE_H
#include "wire.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRACKS = 2, MOST_CALLS = 2048, MOST_JOINED = 4, MODEL_BUFFER = 16384, SENT = 256, BUCKETS = 200000 };
enum what { DOOR, TLS_DOOR, COMMANDS, CALL, MODEL };

typedef struct {
  enum what what;
  int fd, open, transcribing, call, track;
  uint32_t next;  // number of the frame that must come next
  SSL *ssl;
  size_t n;
  unsigned char buf[MODEL_BUFFER];
} model;

// What is measured; zeroed at the beginning of a window.
static struct {
  uint64_t frames, appends, joined, wrong, repeated, late_sum;
  uint32_t latency[BUCKETS];  // by microsecond; the last one takes all that is slower
  uint32_t late[BUCKETS];
} seen;
static uint64_t sent_at[MOST_CALLS][TRACKS][SENT];
static uint32_t sent_frames[MOST_CALLS][TRACKS];
static uint32_t earlier[BUCKETS];  // latency of the calls that were there before others were added, by microsecond
static int earlier_calls;
static int models_open;
static int pcm_rate;  // samples of 16 bits for each of mu-law: 2 or 3; 0: mu-law as it came
static int session_seconds;  // what a session is told that it lives; 0: nothing, which stands for an hour
static uint64_t ever_wrong;
static char first_wrong[200];

static void call_heard(int call, int track);  // the first append of a track has come

static inline void bucket(uint32_t *buckets, uint64_t ns) {
  uint64_t us = ns / 1000;
  buckets[us < BUCKETS ? us : BUCKETS - 1]++;
}

static void wrong(const char *what, const unsigned char *p, size_t n) {
  seen.wrong++;
  if (!ever_wrong++) snprintf(first_wrong, sizeof first_wrong, "%s: %.*s", what, (int)(n < 120 ? n : 120), (const char *)p);
}

static void model_put(model *m, int opcode, const char *body, size_t size) {
  unsigned char out[512];
  size_t at = ws_head(out, opcode, size, 0, 0);
  memcpy(out + at, body, size);
  ssize_t sent = m->ssl ? SSL_write(m->ssl, out, (int)(at + size)) : send(m->fd, out, at + size, MSG_NOSIGNAL);
  if (sent != (ssize_t)(at + size)) wrong("an answer could not be sent", out, at);
}

static int16_t linear(unsigned char byte) {  // ITU-T G.711, mu-law
  int magnitude = (((~byte & 0x0F) << 3) + 0x84) << ((~byte & 0x70) >> 4);
  return (int16_t)(~byte & 0x80 ? 0x84 - magnitude : magnitude - 0x84);
}

// The mu-law that PCM was made of: of each `pcm_rate` samples the last is the frame's own, those before it lie between. The first frame has
// no neighbour, and so begins with its own. 0 has two bytes in mu-law; 0x7F is taken. Whether it was mu-law.
static int mu_law_of(unsigned char raw[FRAME_RAW], const unsigned char *audio, size_t size) {
  static unsigned char table[65536], known[65536];
  unsigned char pcm[MOST_JOINED * FRAME_RAW * 2];
  if (!known[0])
    for (int byte = 255; byte >= 0; byte--) table[(uint16_t)linear((unsigned char)byte)] = (unsigned char)byte, known[(uint16_t)linear((unsigned char)byte)] = 1;
  if (size / 4 * 3 > sizeof pcm) return 0;
  int bytes = EVP_DecodeBlock(pcm, audio, (int)size);
  if (bytes < 0) return 0;
  bytes -= (audio[size - 1] == '=') + (audio[size - 2] == '=');
  int samples = bytes / 2, whole = FRAME_RAW * pcm_rate, first = (FRAME_RAW - 1) * pcm_rate + 1;
  if (samples != whole && samples != first) return 0;
  for (int i = 0; i < FRAME_RAW; i++) {
    int at = 2 * (i * pcm_rate + (samples == whole ? pcm_rate - 1 : 0));
    uint16_t one = (uint16_t)(pcm[at] | pcm[at + 1] << 8);
    if (!known[one]) return 0;
    raw[i] = table[one];
  }
  return 1;
}

// One append: the very payloads of the next frames of one track of one call, nothing added, nothing missing.
static void append(model *m, const unsigned char *audio, size_t size) {
  unsigned char raw[MOST_JOINED * FRAME_RAW + 3], text[FRAME_TEXT + 1];
  if (pcm_rate) {
    if (!mu_law_of(raw, audio, size)) { wrong("no frame of this rate", audio, size); return; }
    size = (size_t)EVP_EncodeBlock(text, raw, FRAME_RAW), audio = text;
  }
  uint32_t joined = size == FRAME_TEXT ? 1 : (uint32_t)(size * 3 / 4 / FRAME_RAW);
  if (m->call < 0) {  // whose audio it is, says the audio
    if (size < FRAME_TEXT || EVP_DecodeBlock(raw, audio, HEAD_TEXT) != HEAD_RAW) { wrong("no audio of ours", audio, size); return; }
    int call = raw[3] << 8 | raw[4], track = raw[2];
    if (raw[0] != 'V' || raw[1] != 'A' || call >= MOST_CALLS || track >= TRACKS) { wrong("no audio of ours", audio, size); return; }
    if (m->transcribing != track && m->transcribing >= 0) { wrong("a track in the other's session", audio, size); return; }
    m->call = call, m->track = track;
    m->next = (uint32_t)raw[5] << 24 | (uint32_t)raw[6] << 16 | (uint32_t)raw[7] << 8 | raw[8];
    if (m->next != 0) seen.repeated++;
    call_heard(call, track);
  }
  char expected[(MOST_JOINED * FRAME_RAW / 3 + 1) * 4 + 1];
  if (joined < 1 || joined > MOST_JOINED) { wrong("an odd length", audio, size); return; }
  if (joined == 1) {
    frame_text(expected, m->track, m->call, m->next);
  } else {
    for (uint32_t i = 0; i < joined; i++) frame_raw(raw + i * FRAME_RAW, m->track, m->call, m->next + i);
    if ((size_t)EVP_EncodeBlock((unsigned char *)expected, raw, (int)(joined * FRAME_RAW)) != size) { wrong("an odd length", audio, size); return; }
  }
  if (pcm_rate) {  // as it was decoded: both zeros are one
    frame_raw(raw, m->track, m->call, m->next);
    for (int i = 0; i < FRAME_RAW; i++) raw[i] = raw[i] == 0xFF ? 0x7F : raw[i];
    EVP_EncodeBlock((unsigned char *)expected, raw, FRAME_RAW);
  }
  if (memcmp(expected, audio, size)) { wrong("another frame than the next one", audio, size); return; }
  uint64_t now = now_ns();
  for (uint32_t i = 0; i < joined; i++, m->next++) {
    uint64_t took = sent_frames[m->call][m->track] - m->next > SENT ? UINT64_MAX : now - sent_at[m->call][m->track][m->next % SENT];
    bucket(seen.latency, took);
    if (m->call < earlier_calls) bucket(earlier, took);
  }
  seen.appends++, seen.joined += joined;
}

static void model_text(model *m, unsigned char *p, size_t n) {
  static const char pre[] = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"", update[] = "{\"type\":\"session.update\"";
  static const char updated[] = "{\"type\":\"session.updated\",\"event_id\":\"e2\",\"session\":{\"type\":\"realtime\"}}";
  size_t head = sizeof pre - 1;
  if (n > head + 2 && !memcmp(p, pre, head) && !memcmp(p + n - 2, "\"}", 2)) append(m, p + head, n - head - 2);
  else if (n > sizeof update && !memcmp(p, update, sizeof update - 1)) model_put(m, 1, updated, sizeof updated - 1);
  else if (n > 20 && !memcmp(p, "{\"type\":\"", 9)) return;  // another client event: none of our business
  else wrong("no event", p, n);
}

static void model_close(model *m) {
  if (m->fd < 0) return;
  if (m->open) models_open--;
  if (m->ssl) SSL_free(m->ssl);
  close(m->fd);
  m->fd = -1;
}

static void model_frames(model *m) {
  size_t at = 0;
  ws_frame f;
  while (m->fd >= 0 && ws_next(m->buf + at, m->n - at, &f)) {
    if (!f.masked || !f.final) wrong("a frame that no client sends", f.body, f.size);
    if (f.opcode == 1) model_text(m, f.body, f.size);
    else if (f.opcode == 9) model_put(m, 10, (char *)f.body, f.size < 125 ? f.size : 125);
    else if (f.opcode == 8) { model_put(m, 8, (char *)f.body, f.size < 2 ? f.size : 2); model_close(m); return; }
    at += f.whole;
  }
  if (m->fd >= 0) memmove(m->buf, m->buf + at, m->n - at), m->n -= at;
}

// Reads what there is. The caller frees a model whose `fd` is -1 afterwards.
static void model_readable(model *m) {
  for (;;) {
    if (m->ssl && !SSL_is_init_finished(m->ssl)) {
      int done = SSL_accept(m->ssl);
      if (done != 1) {
        if (SSL_get_error(m->ssl, done) != SSL_ERROR_WANT_READ) model_close(m);
        return;
      }
    }
    size_t room = sizeof m->buf - m->n - 1;
    ssize_t got = m->ssl ? SSL_read(m->ssl, m->buf + m->n, (int)room) : recv(m->fd, m->buf + m->n, room, 0);
    if (got <= 0) {
      int again = m->ssl ? SSL_get_error(m->ssl, (int)got) == SSL_ERROR_WANT_READ : got < 0 && errno == EAGAIN;
      if (!again) model_close(m);
      return;
    }
    m->n += (size_t)got;
    if (m->open) {
      model_frames(m);
    } else {
      char answer[256], created[128], expires[40] = "";
      m->buf[m->n] = 0;
      if (!strstr((char *)m->buf, "\r\n\r\n")) continue;
      int size = ws_accept((char *)m->buf, answer, sizeof answer);
      if (size <= 0 || (m->ssl ? SSL_write(m->ssl, answer, size) : send(m->fd, answer, (size_t)size, MSG_NOSIGNAL)) != size) { model_close(m); return; }
      char *line = strchr((char *)m->buf, '\r');
      *line = 0;
      m->transcribing = strstr((char *)m->buf, "intent=transcription") ? 1 : strstr((char *)m->buf, "model=x") ? -1 : 0;
      m->n = 0, m->open = 1, models_open++;
      if (session_seconds) snprintf(expires, sizeof expires, ",\"expires_at\":%ld", (long)time(NULL) + session_seconds);
      int told = snprintf(created, sizeof created, "{\"type\":\"session.created\",\"event_id\":\"e1\",\"session\":{\"type\":\"realtime\"%s}}", expires);
      model_put(m, 1, created, (size_t)told);
    }
    if (m->fd < 0 || (!m->ssl && (size_t)got < room)) return;  // a short read has taken all that was there
  }
}
#endif
