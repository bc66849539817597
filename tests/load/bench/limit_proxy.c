// The limit that a relay can come near: one thread, epoll, no JSON parser, no allocation per frame, no check of anything.
// It takes media websockets, dials one model websocket per track for each, and turns every media frame into one append.
//   limit_proxy PORT MODEL_PORT TRACKS TLS(0|1)
#define _GNU_SOURCE
#include "wire.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct conn {
  int fd, up, ready, dead;
  SSL *ssl;
  struct conn *peer[2];  // of a call: the model's sockets by track; of a model's socket: the call
  size_t n;
  unsigned char buf[16384];
} conn;

static int ep, model_port, tracks;
static SSL_CTX *tls;
static const char hello[] = "GET /v1/realtime?model=x HTTP/1.1\r\nHost: m\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
static conn *dead[4096];
static int deaths;

static void end_one(conn *c) {
  if (c->dead) return;
  c->dead = 1;
  close(c->fd);
  if (deaths < 4096) dead[deaths++] = c;  // freed after the round: events of the same round may still point here
}
static void end(conn *c) {
  conn *call = c->up ? c->peer[0] : c;
  for (int t = 0; t < 2; t++) if (call->peer[t]) end_one(call->peer[t]);
  end_one(call);
}
static void add(conn *c) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}
static void nodelay(int fd) { int one = 1; setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); }
static void put(conn *c, const void *data, size_t n) {
  if (c->ssl ? SSL_write(c->ssl, data, (int)n) <= 0 : send(c->fd, data, n, MSG_NOSIGNAL) < 0) end(c);
}
static void dial(conn *call, int track) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)model_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  conn *u = calloc(1, sizeof *u);
  u->fd = socket(AF_INET, SOCK_STREAM, 0), u->up = 1, u->peer[0] = call, call->peer[track] = u;
  if (connect(u->fd, (void *)&a, sizeof a)) { perror("connect"); end(call); return; }
  nodelay(u->fd);
  if (tls) {
    u->ssl = SSL_new(tls);
    SSL_set_fd(u->ssl, u->fd);
    if (SSL_connect(u->ssl) != 1) { fputs("TLS failed\n", stderr); end(call); return; }
    fcntl(u->fd, F_SETFL, O_NONBLOCK);
  }
  put(u, hello, sizeof hello - 1);
  add(u);
}
static void media(conn *c, unsigned char *p, size_t n) {
  static const char pre[] = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
  unsigned char *s = memmem(p, n, "\"payload\":\"", 11);
  if (!s) return;
  conn *u = c->peer[tracks == 2 && memmem(p, n, "\"outbound\"", 10) != NULL];
  s += 11;
  unsigned char *e = memchr(s, '"', (size_t)(p + n - s));
  if (!e || !u || !u->ready) return;
  unsigned char out[2048];
  uint32_t key = 0x12345678;
  size_t audio = (size_t)(e - s), size = sizeof pre - 1 + audio + 2, at = ws_head(out, 1, size, 1, key);
  memcpy(out + at, pre, sizeof pre - 1), memcpy(out + at + sizeof pre - 1, s, audio), memcpy(out + at + size - 2, "\"}", 2);
  mask_with(out + at, size, key);
  put(u, out, at + size);
}
static void frames(conn *c) {
  size_t at = 0;
  ws_frame f;
  while (!c->dead && ws_next(c->buf + at, c->n - at, &f)) {
    if (!c->up && f.opcode == 1) media(c, f.body, f.size);
    if (f.opcode == 8) { end(c); return; }
    at += f.whole;
  }
  memmove(c->buf, c->buf + at, c->n - at), c->n -= at;
}
static void readable(conn *c) {
  ssize_t got = c->ssl ? SSL_read(c->ssl, c->buf + c->n, (int)(sizeof c->buf - c->n - 1)) : read(c->fd, c->buf + c->n, sizeof c->buf - c->n - 1);
  if (got <= 0) {
    if (!c->ssl || SSL_get_error(c->ssl, (int)got) != SSL_ERROR_WANT_READ) end(c);
    return;
  }
  c->n += (size_t)got;
  if (!c->ready) {
    c->buf[c->n] = 0;
    char *blank = strstr((char *)c->buf, "\r\n\r\n"), answer[256];
    if (!blank) return;
    if (!c->up) {
      int n = ws_accept((char *)c->buf, answer, sizeof answer);
      if (n <= 0) { end(c); return; }
      put(c, answer, (size_t)n);
      c->n = 0, c->ready = 1;
      for (int t = 0; t < tracks && !c->dead; t++) dial(c, t);
      return;
    }
    size_t head = (size_t)(blank + 4 - (char *)c->buf);
    memmove(c->buf, c->buf + head, c->n - head), c->n -= head, c->ready = 1;
  }
  frames(c);
}
int main(int argc, char **argv) {
  if (argc != 5) return 2;
  model_port = atoi(argv[2]), tracks = atoi(argv[3]), ep = epoll_create1(0);
  if (atoi(argv[4])) tls = SSL_CTX_new(TLS_client_method());
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  socklen_t size = sizeof a;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (void *)&a, sizeof a) || listen(listener, 4096)) { perror("listen"); return 1; }
  getsockname(listener, (void *)&a, &size);
  printf("{\"listening\": {\"public\": %d}}\n", ntohs(a.sin_port)), fflush(stdout);
  static conn door;
  door.fd = listener, add(&door);
  struct epoll_event ev[256];
  for (;;) {
    int n = epoll_wait(ep, ev, 256, -1);
    for (int i = 0; i < n; i++) {
      conn *c = ev[i].data.ptr;
      if (c == &door) {
        conn *call = calloc(1, sizeof *call);
        call->fd = accept(listener, 0, 0);
        nodelay(call->fd), add(call);
      } else if (!c->dead) {
        do readable(c); while (!c->dead && c->ssl && SSL_pending(c->ssl) > 0);
      }
    }
    while (deaths > 0) {
      conn *c = dead[--deaths];
      if (c->ssl) SSL_free(c->ssl);
      free(c);
    }
  }
}
