// The load of the benchmark: Twilio's side (one or two tracks, a frame each 20 ms) and the model's side of many calls, in one thread.
//   loadgen CALLS_FILE CERT KEY      then commands on standard input, each answered by one line of JSON:
//   relay PORT PID | tracks N | pcm RATIO | talk FRAMES | life SECONDS | grow CALLS PER_SECOND [PATIENCE_SECONDS] | measure SECONDS | end
// `talk`: so many frames a track, then silence; 0, the default: for ever. While calls are added, the latency of those before is kept apart.
// CALLS_FILE, for each call: the upgrade request, then `connected` and `start` as text; each with its length before it (32 bits, little end).
#define _GNU_SOURCE
#include "model_side.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

enum { WHEEL = 200, TICK_NS = 100000, PERIOD_NS = WHEEL * TICK_NS, PART_SIZE = 2048 };
enum state { CLOSED, CONNECTING, SENDING, ENDING };
typedef struct {
  enum what what;
  int fd, number, heard;
  enum state state;
  uint32_t sequence;
  uint64_t began;
  size_t n;
  char buf[1024];
} call;
typedef struct { int call, track; uint32_t chunk; } train;  // the messages of one track

static struct { unsigned char *data; uint32_t size; } script[MOST_CALLS][3];
static char stream_sid[MOST_CALLS][40];
static call calls[MOST_CALLS];
static int scripts, ep, tracks = 1, relay_port, open_calls, live_calls, failed_calls;
static clockid_t relay_clock;
static train wheel[WHEEL][MOST_CALLS * TRACKS / 16];
static int in_slot[WHEEL];
static uint32_t first_frame[BUCKETS];  // from connect to the model's first append, all tracks; by 100 us
static SSL_CTX *tls;
static int target, talk;
static double per_second;
static uint64_t grow_began, busy_until, window_began, window_cpu, window_relay;
static enum { IDLE, GROWING, MEASURING, LEAVING } doing;

static void watch(int fd, void *what) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
  epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static double quantile(const uint32_t *buckets, double share) {
  uint64_t total = 0, at = 0;
  for (int i = 0; i < BUCKETS; i++) total += buckets[i];
  if (!total) return 0;
  for (int i = 0; i < BUCKETS; i++)
    if ((double)(at += buckets[i]) >= share * (double)total) return i;
  return BUCKETS;
}

typedef struct { enum what what; int fd; } listener;
static listener plain = {.what = DOOR}, secure = {.what = TLS_DOOR}, commands = {.what = COMMANDS, .fd = 0};

static void door(const char *name, listener *l) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096) || getsockname(fd, (void *)&a, &size)) { perror("listen"); exit(1); }
  l->fd = fd;
  watch(fd, l);
  printf("\"%s\": %d", name, ntohs(a.sin_port));
}

static void client_put(call *c, int opcode, const void *text, size_t size) {
  unsigned char out[PART_SIZE + 16];
  uint32_t key = next_random();
  size_t at = ws_head(out, opcode, size, 1, key);
  memcpy(out + at, text, size);
  mask_with(out + at, size, key);
  if (send(c->fd, out, at + size, MSG_NOSIGNAL) != (ssize_t)(at + size)) wrong("the relay does not read", out, 0);
}

static void client_close(call *c) {
  if (c->state == SENDING || c->state == CONNECTING) {
    failed_calls++;
    if (!ever_wrong++) snprintf(first_wrong, sizeof first_wrong, "a call ended early: %.*s", (int)strcspn(c->buf, "\r\n"), c->buf);
  }
  close(c->fd);
  c->state = CLOSED, c->fd = -1, open_calls--;
}

static void client_begin(int number, uint64_t now) {
  call *c = &calls[number];
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)relay_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  *c = (call){.what = CALL, .number = number, .state = CONNECTING, .began = now, .fd = socket(AF_INET, SOCK_STREAM, 0)};
  open_calls++;
  if (connect(c->fd, (void *)&a, sizeof a)) { client_close(c); return; }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (send(c->fd, script[number][0].data, script[number][0].size, MSG_NOSIGNAL) < 0) perror("send");
  watch(c->fd, c);
}

static void client_readable(call *c) {
  ssize_t got = recv(c->fd, c->buf + c->n, sizeof c->buf - c->n - 1, 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) client_close(c);
    return;
  }
  c->buf[c->n += (size_t)got] = 0;
  if (c->state != CONNECTING) {  // nothing but a close is ever sent to Twilio
    if ((unsigned char)c->buf[0] != 0x88) wrong("the relay speaks", (unsigned char *)c->buf, c->n);
    client_close(c);
    return;
  }
  if (!strstr(c->buf, "\r\n\r\n")) return;
  if (strncmp(c->buf, "HTTP/1.1 101", 12)) { client_close(c); return; }
  c->n = 0, c->state = SENDING, c->sequence = 1;
  for (int part = 1; part < 3; part++) client_put(c, 1, script[c->number][part].data, script[c->number][part].size);
  for (int t = 0; t < tracks; t++) {  // phases spread evenly, the tracks of a call half a period apart
    int slot = (int)((uint32_t)c->number * 2654435769u / 4294967296.0 * WHEEL + t * WHEEL / 2) % WHEEL;
    sent_frames[c->number][t] = 0;
    if (in_slot[slot] >= MOST_CALLS * TRACKS / 16) exit(3);
    wheel[slot][in_slot[slot]++] = (train){c->number, t, 0};
  }
}

static void call_heard(int number, int track) {
  call *c = &calls[number];
  c->heard |= 1 << track;
  if (c->heard == (1 << tracks) - 1 && c->state == SENDING) {
    live_calls++;
    bucket(first_frame, (now_ns() - c->began) / 100);
  }
}

static char *digits(char *out, uint32_t n) {
  char back[12];
  int size = 0;
  do back[size++] = (char)('0' + n % 10); while (n /= 10);
  while (size) *out++ = back[--size];
  return out;
}

#define PUT(text) (memcpy(at, text, sizeof text - 1), at += sizeof text - 1)
static void send_frame(train *t, uint64_t due) {
  call *c = &calls[t->call];
  char text[640], *at = text;
  uint32_t number = sent_frames[t->call][t->track]++;
  PUT("{\"event\":\"media\",\"sequenceNumber\":\""), at = digits(at, ++c->sequence), PUT("\",\"media\":{\"track\":\"");
  if (t->track) PUT("outbound"); else PUT("inbound");
  PUT("\",\"chunk\":\""), at = digits(at, ++t->chunk), PUT("\",\"timestamp\":\""), at = digits(at, number * 20), PUT("\",\"payload\":\"");
  frame_text(at, t->track, t->call, number);
  at += FRAME_TEXT;
  PUT("\"},\"streamSid\":\""), memcpy(at, stream_sid[t->call], 34), at += 34, PUT("\"}");
  uint64_t now = now_ns();
  bucket(seen.late, now - due);
  sent_at[t->call][t->track][number % SENT] = now;
  client_put(c, 1, text, (size_t)(at - text));
  seen.frames++;
}

static void turn_wheel(uint64_t *turned, uint64_t now) {  // sends what is due; `*turned`: the moment of the next slot
  for (; *turned <= now; *turned += TICK_NS) {
    int slot = (int)(*turned / TICK_NS % WHEEL);
    for (int i = 0; i < in_slot[slot];) {
      train *t = &wheel[slot][i];
      int says = !talk || sent_frames[t->call][t->track] < (uint32_t)talk;
      if (calls[t->call].state != SENDING) *t = wheel[slot][--in_slot[slot]];
      else if (i++, says) send_frame(t, *turned);
    }
  }
}

static void said(void) { puts("}"), fflush(stdout), doing = IDLE; }

static void look(uint64_t now) {
  if (doing == GROWING) {
    int wanted = (int)((double)(now - grow_began) / 1e9 * per_second) + 1;
    for (int i = 0, opened = open_calls; i < target && opened < wanted && opened < target; i++)
      if (calls[i].state == CLOSED) client_begin(i, now), opened++;
    if (live_calls + failed_calls < target && now < busy_until) return;
    printf("{\"live\": %d, \"failed\": %d, \"models\": %d, \"startP50Ms\": %.2f, \"startP99Ms\": %.2f, \"seconds\": %.2f, \"othersP99Ms\": %.2f",
           live_calls, failed_calls, models_open, quantile(first_frame, .5) / 10, quantile(first_frame, .99) / 10,
           (double)(now - grow_began) / 1e9, quantile(earlier, .99) / 1e3);
    said();
  } else if (doing == MEASURING && now >= busy_until) {
    double wall = (double)(now - window_began);
    printf("{\"frames\": %lu, \"joined\": %lu, \"appends\": %lu, \"wrong\": %lu, \"repeated\": %lu, \"failed\": %d, \"first\": \"", seen.frames,
           seen.joined, seen.appends, seen.wrong, seen.repeated, failed_calls);
    for (char *p = first_wrong; *p; p++) if (*p >= 32 && *p != '"' && *p != '\\' && *p < 127) putchar(*p);
    printf("\", \"p50Us\": %.0f, \"p99Us\": %.0f, \"p100Us\": %.0f, \"lateP99Us\": %.0f, \"ownShare\": %.4f, \"relayShare\": %.4f, \"relayUs\": %.0f",
           quantile(seen.latency, .5), quantile(seen.latency, .99), quantile(seen.latency, 1), quantile(seen.late, .99),
           (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - window_cpu) / wall, (double)(cpu_ns(relay_clock) - window_relay) / wall,
           (double)(cpu_ns(relay_clock) - window_relay) / 1e3);
    said();
  } else if (doing == LEAVING && ((!open_calls && !models_open) || now >= busy_until)) {
    printf("{\"open\": %d, \"models\": %d", open_calls, models_open);
    memset(first_frame, 0, sizeof first_frame), live_calls = failed_calls = 0;
    said();
  }
}

static void command(char *line, uint64_t now) {
  int a = 0, b = 0;
  double seconds = 0, patience = 60;
  busy_until = now + 60000000000ull;
  if (sscanf(line, "relay %d %d", &a, &b) == 2) {
    relay_port = a;
    clock_getcpuclockid(b, &relay_clock);
    printf("{\"ok\": true"), said();
  } else if (sscanf(line, "tracks %d", &a) == 1) {
    tracks = a, printf("{\"ok\": true"), said();
  } else if (sscanf(line, "pcm %d", &a) == 1) {
    pcm_rate = a, printf("{\"ok\": true"), said();
  } else if (sscanf(line, "talk %d", &a) == 1) {
    talk = a, printf("{\"ok\": true"), said();
  } else if (sscanf(line, "life %d", &a) == 1) {
    session_seconds = a, printf("{\"ok\": true"), said();
  } else if (sscanf(line, "grow %d %lf %lf", &a, &seconds, &patience) >= 2) {
    busy_until = now + (uint64_t)(patience * 1e9);
    grow_began = now - (uint64_t)(open_calls / seconds * 1e9), target = a < scripts ? a : scripts, per_second = seconds, doing = GROWING;
    memset(first_frame, 0, sizeof first_frame), memset(earlier, 0, sizeof earlier), earlier_calls = live_calls;
  } else if (sscanf(line, "measure %lf", &seconds) == 1) {
    memset(&seen, 0, sizeof seen);
    window_began = now_ns(), window_cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), window_relay = cpu_ns(relay_clock);
    busy_until = window_began + (uint64_t)(seconds * 1e9), doing = MEASURING;
  } else if (!strncmp(line, "end", 3)) {
    for (int i = 0; i < MOST_CALLS; i++) {
      call *c = &calls[i];
      if (c->state != SENDING) continue;
      char text[256];
      int n = snprintf(text, sizeof text, "{\"event\":\"stop\",\"sequenceNumber\":\"%u\",\"streamSid\":\"%s\",\"stop\":{}}", ++c->sequence, stream_sid[i]);
      c->state = ENDING;
      client_put(c, 1, text, (size_t)n);
      client_put(c, 8, "\x03\xe8", 2);
    }
    doing = LEAVING;
  } else {
    exit(0);
  }
}

static void load_scripts(const char *path) {
  FILE *f = fopen(path, "rb");
  uint32_t size;
  if (!f) { perror(path); exit(1); }
  for (int part = 0; scripts < MOST_CALLS && fread(&size, 4, 1, f) == 1; part = (part + 1) % 3) {
    unsigned char *data = malloc(size + 1);
    if (size >= PART_SIZE || fread(data, 1, size, f) != size) exit(1);
    data[size] = 0;
    script[scripts][part].data = data, script[scripts][part].size = size;
    if (part < 2) continue;
    char *sid = strstr((char *)data, "\"MZ");
    if (!sid) exit(1);
    memcpy(stream_sid[scripts++], sid + 1, 34);
  }
  fclose(f);
}

static void model_begin(listener *l) {
  int fd, one = 1;
  while ((fd = accept4(l->fd, 0, 0, SOCK_NONBLOCK)) >= 0) {
    model *m = malloc(sizeof *m);
    *m = (model){.what = MODEL, .fd = fd, .call = -1};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (l->what == TLS_DOOR) {
      m->ssl = SSL_new(tls);
      SSL_set_fd(m->ssl, fd);
      SSL_set_accept_state(m->ssl);
    }
    watch(fd, m);
  }
}

static void asked(uint64_t now) {
  static char line[256];
  static size_t n;
  ssize_t got = read(0, line + n, sizeof line - n - 1);
  if (got <= 0) exit(0);
  line[n += (size_t)got] = 0;
  if (strchr(line, '\n')) n = 0, command(line, now);
}

static void wait_and_read(uint64_t until) {
  struct epoll_event ev[256];
  uint64_t now = now_ns(), left = until > now ? until - now : 0;
  struct timespec most = {.tv_sec = (time_t)(left / 1000000000ull), .tv_nsec = (long)(left % 1000000000ull)};
  int n = epoll_pwait2(ep, ev, 256, &most, NULL);
  for (int i = 0; i < n; i++) {
    enum what *what = ev[i].data.ptr;
    switch (*what) {
      case DOOR: case TLS_DOOR: model_begin((listener *)what); break;
      case COMMANDS: asked(now_ns()); break;
      case CALL: client_readable((call *)what); break;
      case MODEL: {
        model *m = (model *)what;
        model_readable(m);
        if (m->fd < 0) free(m);  // its descriptor is closed, so no event of it can follow
      }
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  ep = epoll_create1(0), make_fills(), load_scripts(argv[1]);
  tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_num_tickets(tls, 0);
  if (SSL_CTX_use_certificate_file(tls, argv[2], SSL_FILETYPE_PEM) != 1 || SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1) return 1;
  watch(commands.fd, &commands);
  printf("{"), door("plain", &plain), printf(", "), door("tls", &secure), puts("}"), fflush(stdout);
  uint64_t turned = now_ns();
  for (;;) {
    uint64_t now = now_ns(), until = now + 100000000;
    turn_wheel(&turned, now);
    look(now);
    if (doing == GROWING || doing == LEAVING) until = now + 1000000;
    if (doing == MEASURING && busy_until < until) until = busy_until;
    uint64_t next = turned;
    for (int i = 0; i < WHEEL && !in_slot[next / TICK_NS % WHEEL]; i++) next += TICK_NS;
    wait_and_read(next < until ? next : until);
  }
}
