/* bare: the least that a WebSocket fan-out can cost on this machine.
 *
 * One thread, one epoll instance, one send(2) per connection for each message (or, with --burst, for everything that one read
 * from Redis brought). No routing, no authentication, no deadlines, no limits worth the name: it is a yardstick to hold a server
 * against, not a server. It subscribes to one Redis channel and sends each payload as one text frame to everyone; on /echo it
 * sends back what comes, everything that one read brought with one send.
 *
 *   cc -O2 -o bare bare.c
 *   ./bare --listen 9100 --redis 127.0.0.1:6379 --channel sluice:news [--burst]
 *
 * Taken for granted: an upgrade request arrives in one read, a message to /echo is one frame of less than 64 KiB; Redis is there from the start and stays.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 1 << 20, REDIS_BUF = 4 << 20, MAX_PENDING = 64 << 20 };

struct conn {
    int open;                      /* the 101 has been sent */
    int place;                     /* index in subscribers; -1: it echoes */
    char *rest;                    /* the beginning of a frame to echo; owned */
    size_t rest_len;
    char *pending;                 /* what the socket did not take; owned */
    size_t pending_len;
};

static struct conn *conns[MAX_FD]; /* by descriptor */
static int subscribers[MAX_FD];    /* descriptors of open connections */
static int subscriber_count;
static int ep, burst_mode;

static char redis_in[REDIS_BUF];
static size_t redis_len;
static char frames[REDIS_BUF + REDIS_BUF / 8];

static void die(const char *what) {
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- SHA-1 (FIPS 180-4) and base64 (RFC 4648), for Sec-WebSocket-Accept ---- */

static uint32_t rotl(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1_block(uint32_t h[5], const unsigned char *p) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)      f = (b & c) | (~b & d),          k = 0x5a827999;
        else if (i < 40) f = b ^ c ^ d,                   k = 0x6ed9eba1;
        else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else             f = b ^ c ^ d,                   k = 0xca62c1d6;
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotl(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* accept_key writes the 28 characters that answer a 24-character Sec-WebSocket-Key, and a final zero. */
static void accept_key(const char *key, char out[29]) {
    unsigned char m[128] = {0}, sum[21] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(m, key, 24);
    memcpy(m + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    m[60] = 0x80;                                /* padding; 60 bytes are 480 bits */
    m[126] = 480 >> 8, m[127] = 480 & 255;
    sha1_block(h, m);
    sha1_block(h, m + 64);
    for (int i = 0; i < 20; i++) sum[i] = h[i / 4] >> (24 - 8 * (i % 4));
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0, o = 0; i < 21; i += 3, o += 4) {
        uint32_t v = sum[i] << 16 | sum[i + 1] << 8 | sum[i + 2];
        out[o] = abc[v >> 18], out[o + 1] = abc[v >> 12 & 63], out[o + 2] = abc[v >> 6 & 63], out[o + 3] = abc[v & 63];
    }
    out[27] = '=', out[28] = 0;
}

/* ---- connections ---- */

static void watch(int op, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(ep, op, fd, &e) < 0) die("epoll_ctl");
}

static void drop(int fd) {
    struct conn *c = conns[fd];
    if (c->open && c->place >= 0) {              /* the last one takes its place */
        int last = subscribers[--subscriber_count];
        subscribers[c->place] = last;
        conns[last]->place = c->place;
    }
    free(c->pending);
    free(c->rest);
    free(c);
    conns[fd] = NULL;
    close(fd);
}

/* put sends now what the socket takes and keeps the rest for EPOLLOUT. Returns 0 when the connection was dropped. */
static int put(int fd, const char *p, size_t n) {
    struct conn *c = conns[fd];
    ssize_t sent = 0;
    if (c->pending_len == 0) {
        sent = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t)n) return 1;
        if (sent < 0 && errno != EAGAIN) return drop(fd), 0;
        if (sent < 0) sent = 0;
        watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
    }
    size_t rest = n - sent;
    if (c->pending_len + rest > MAX_PENDING) return drop(fd), 0;
    c->pending = realloc(c->pending, c->pending_len + rest);
    if (!c->pending) die("memory");
    memcpy(c->pending + c->pending_len, p + sent, rest);
    c->pending_len += rest;
    return 1;
}

static void writable(int fd) {
    struct conn *c = conns[fd];
    ssize_t sent = send(fd, c->pending, c->pending_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) drop(fd);
        return;
    }
    memmove(c->pending, c->pending + sent, c->pending_len -= sent);
    if (c->pending_len) return;
    free(c->pending);
    c->pending = NULL;
    watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

/* echo sends the whole frames at the front of in back, unmasked, and keeps the rest. */
static void echo(int fd, char *in, size_t n) {
    static char out[2 * 65536];
    struct conn *c = conns[fd];
    size_t at = 0, o = 0;
    for (;;) {
        unsigned char *f = (unsigned char *)in + at, *mask;
        if (n - at < 6) break;
        size_t len = f[1] & 127, head = 2;
        if (len == 127) { drop(fd); return; }
        if (len == 126) len = f[2] << 8 | f[3], head = 4;
        if (n - at < head + 4 + len) break;
        if ((f[0] & 15) == 8) {                  /* it leaves */
            if (put(fd, "\x88\0", 2)) drop(fd);
            return;
        }
        memcpy(out + o, f, head);
        out[o + 1] &= 127;
        mask = f + head;
        for (size_t i = 0; i < len; i++) out[o + head + i] = mask[4 + i] ^ mask[i & 3];
        o += head + len, at += head + 4 + len;
    }
    size_t left = n - at;
    if (left > 65536) { drop(fd); return; }
    free(c->rest);
    c->rest = NULL, c->rest_len = left;
    if (left) {
        if (!(c->rest = malloc(left))) die("memory");
        memcpy(c->rest, in + at, left);
    }
    if (o) put(fd, out, o);
}

static void readable(int fd) {
    static char in[2 * 65536];
    struct conn *c = conns[fd];
    size_t had = c->rest_len;
    if (had) memcpy(in, c->rest, had);
    ssize_t n = recv(fd, in + had, 65535, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { drop(fd); return; }
    if (c->open && c->place < 0) { echo(fd, in, had + n); return; }
    in[n] = 0;
    if (c->open) {                               /* all that matters of what a client says is that it leaves */
        if (((unsigned char)in[0] & 15) == 8 && put(fd, "\x88\0", 2)) drop(fd);
        return;
    }
    char *key = strcasestr(in, "\r\nSec-WebSocket-Key: "), accept[29], answer[256];
    if (!key || strlen(key) < 21 + 24) { drop(fd); return; }
    accept_key(key + 21, accept);
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    if (!put(fd, answer, len)) return;
    c->open = 1;
    c->place = -1;
    if (!strncmp(in, "GET /echo", 9)) return;
    c->place = subscriber_count;
    subscribers[subscriber_count++] = fd;
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0) return;
        if (fd >= MAX_FD) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conns[fd] = calloc(1, sizeof(struct conn));
        if (!conns[fd]) die("memory");
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

/* ---- fan-out ---- */

static void broadcast(const char *p, size_t n) {
    for (int i = subscriber_count - 1; i >= 0; i--) put(subscribers[i], p, n); /* backwards: drop moves the last one down */
}

static size_t frame(char *out, const char *payload, size_t n) {
    size_t h = 2;
    out[0] = (char)0x81;
    if (n < 126) out[1] = n;
    else if (n < 65536) out[1] = 126, out[2] = n >> 8, out[3] = n, h = 4;
    else {
        out[1] = 127, h = 10;
        for (int i = 0; i < 8; i++) out[2 + i] = (uint64_t)n >> (56 - 8 * i);
    }
    memcpy(out + h, payload, n);
    return h + n;
}

/* number reads the decimal number of a RESP line at *p ("$12\r\n") and moves *p behind the line; -1: the line is not whole. */
static long number(char **p, char *end) {
    char *eol = memmem(*p, end - *p, "\r\n", 2);
    if (!eol) return -1;
    long n = strtol(*p + 1, NULL, 10);
    *p = eol + 2;
    return n;
}

/* publication takes one RESP array of three from the front of p: 0 when it is not whole, else its size. *payload is NULL for the
 * answer to SUBSCRIBE, whose third element is an integer. */
static size_t publication(char *p, char *end, char **payload, size_t *len) {
    char *at = p;
    *payload = NULL;
    if (number(&at, end) < 0) return 0;
    for (int i = 0; i < 3; i++) {
        if (at >= end) return 0;
        char type = *at;
        long n = number(&at, end);
        if (n < 0) return 0;
        if (type != '$') continue;
        if (end - at < n + 2) return 0;
        if (i == 2) *payload = at, *len = n;
        at += n + 2;
    }
    return at - p;
}

static void from_redis(int fd) {
    ssize_t n = recv(fd, redis_in + redis_len, sizeof redis_in - redis_len, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("Redis went away");
    redis_len += n;
    char *p = redis_in, *end = redis_in + redis_len, *payload;
    size_t out = 0, len = 0;
    for (size_t took; (took = publication(p, end, &payload, &len)); p += took) {
        if (!payload) continue;
        out += frame(frames + out, payload, len);
        if (!burst_mode) broadcast(frames, out), out = 0;
    }
    if (out) broadcast(frames, out);
    memmove(redis_in, p, redis_len = end - p);
}

static int subscribe(const char *host_port, const char *channel) {
    char host[64];
    const char *colon = strrchr(host_port, ':');
    if (!colon || colon - host_port >= (long)sizeof host) errno = EINVAL, die("--redis wants HOST:PORT");
    snprintf(host, sizeof host, "%.*s", (int)(colon - host_port), host_port);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) errno = EINVAL, die("--redis wants an IPv4 address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) die("connecting to Redis");
    if (dprintf(fd, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(channel), channel) < 0) die("SUBSCRIBE");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int listen_on(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0) die("listening");
    return fd;
}

int main(int argc, char **argv) {
    int port = 9100;
    const char *redis = "127.0.0.1:6379", *channel = "sluice:news";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--burst")) burst_mode = 1;
        else if (!strcmp(argv[i], "--listen") && i + 1 < argc) port = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--redis") && i + 1 < argc) redis = argv[++i];
        else if (!strcmp(argv[i], "--channel") && i + 1 < argc) channel = argv[++i];
        else {
            fprintf(stderr, "usage: bare [--listen PORT] [--redis IPV4:PORT] [--channel NAME] [--burst]\n");
            return 2;
        }
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll");
    int redis_fd = subscribe(redis, channel), listener = listen_on(port);
    watch(EPOLL_CTL_ADD, redis_fd, EPOLLIN);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    for (struct epoll_event events[512];;) {
        int n = epoll_wait(ep, events, 512, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == redis_fd) from_redis(fd);
            else if (fd == listener) accept_all(fd);
            else {
                if (conns[fd] && (events[i].events & EPOLLOUT) && conns[fd]->pending_len) writable(fd);
                if (conns[fd] && (events[i].events & ~EPOLLOUT)) readable(fd);
            }
        }
    }
}
