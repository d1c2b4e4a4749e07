/* Answer POST /execute a fixed time after it was read whole: one thread, epoll and one timer.

   fixed_latency LATENCY_MS TOKENS ANSWER_FILE REFUSAL_FILE

   Prints the port that it listens on at 127.0.0.1. ANSWER_FILE has the body of every answer: one node that took
   LATENCY_MS and cost TOKENS, which /metrics count. A body of two bytes gets REFUSAL_FILE with status 422, as a runtime
   refuses {}. GET /lateness says how many microseconds later than due the answers since the last such request were
   written, and begins anew: that is this server's own jitter. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FDS = 65536, BUFFER = 65536, MOST_EVENTS = 256, MOST_LATENESS_US = 100000 };

struct connection {
  char *buffer; /* NULL: no connection has this descriptor */
  size_t used;
  uint32_t number; /* tells a connection from an earlier one of the same descriptor */
};

struct due {
  int64_t at_ns;
  int fd;
  uint32_t number;
};

struct text {
  char *bytes;
  size_t length;
};

static struct connection connections[MOST_FDS];
static struct due waiting[MOST_FDS]; /* a ring: with one latency for all, the first read is the first due */
static size_t first_waiting, waiting_count;
static uint32_t lateness_us[MOST_LATENESS_US + 1];
static uint64_t answered;
static struct text answer, refusal;
static int64_t latency_ns;
static long time_ms, tokens;
static int64_t armed_ns; /* what the timer is set to, 0 when it is not */
static int poll_fd, timer_fd, listen_fd;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct text response(const char *status, const char *type, const char *body, size_t length) {
  struct text made;
  char head[256];
  int head_length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n",
                             status, type, length);
  made.length = (size_t)head_length + length;
  made.bytes = malloc(made.length);
  if (made.bytes == NULL) fail("malloc");
  memcpy(made.bytes, head, (size_t)head_length);
  memcpy(made.bytes + head_length, body, length);
  return made;
}

static struct text response_of_file(const char *status, const char *type, const char *path) {
  static char body[BUFFER];
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path);
  size_t length = fread(body, 1, sizeof body, file);
  fclose(file);
  return response(status, type, body, length);
}

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static void drop(int fd) {
  free(connections[fd].buffer);
  connections[fd].buffer = NULL;
  close(fd);
}

/* An answer is smaller than a socket's buffer and the client reads one before it asks again: it is taken whole. */
static void put(int fd, struct text text) {
  if (send(fd, text.bytes, text.length, MSG_NOSIGNAL) != (ssize_t)text.length) drop(fd);
}

static void put_text(int fd, const char *status, const char *type, const char *body) {
  struct text made = response(status, type, body, strlen(body));
  put(fd, made);
  free(made.bytes);
}

static void put_metrics(int fd) {
  static const long edges_ms[] = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};
  char body[4096];
  unsigned long long count = answered;
  int length = snprintf(body, sizeof body,
                        "# TYPE aether_executed_nodes_total counter\naether_executed_nodes_total %llu\n"
                        "# TYPE aether_token_cost_total counter\naether_token_cost_total %llu\n"
                        "# TYPE aether_errors_total counter\naether_errors_total 0\n"
                        "# TYPE aether_cache_hits_total counter\naether_cache_hits_total 0\n"
                        "# TYPE aether_cache_misses_total counter\naether_cache_misses_total %llu\n"
                        "# TYPE aether_execution_time_seconds histogram\n",
                        count, count * (unsigned long long)tokens, count);
  for (size_t i = 0; i < sizeof edges_ms / sizeof *edges_ms; i++)
    length += snprintf(body + length, sizeof body - (size_t)length,
                       "aether_execution_time_seconds_bucket{le=\"%g\"} %llu\n", (double)edges_ms[i] / 1000,
                       time_ms <= edges_ms[i] ? count : 0);
  snprintf(body + length, sizeof body - (size_t)length,
           "aether_execution_time_seconds_bucket{le=\"+Inf\"} %llu\naether_execution_time_seconds_sum %llu.%03llu\n"
           "aether_execution_time_seconds_count %llu\n",
           count, count * (unsigned long long)time_ms / 1000, count * (unsigned long long)time_ms % 1000, count);
  put_text(fd, "200 OK", "text/plain", body);
}

/* Nearest rank. */
static int percentile_us(uint64_t per_mille, uint64_t count) {
  uint64_t rank = (per_mille * count + 999) / 1000, seen = 0;
  int us = 0;
  while (us < MOST_LATENESS_US && (seen += lateness_us[us]) < rank) us++;
  return us;
}

static void put_lateness(int fd) {
  char body[256];
  uint64_t count = 0;
  for (int us = 0; us <= MOST_LATENESS_US; us++) count += lateness_us[us];
  snprintf(body, sizeof body, "{\"count\": %llu, \"p50_us\": %d, \"p99_us\": %d, \"p99_9_us\": %d, \"max_us\": %d}",
           (unsigned long long)count, percentile_us(500, count), percentile_us(990, count), percentile_us(999, count),
           percentile_us(1000, count));
  memset(lateness_us, 0, sizeof lateness_us);
  put_text(fd, "200 OK", "application/json", body);
}

static void set_timer(void) {
  int64_t due = waiting_count ? waiting[first_waiting].at_ns : 0;
  struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};
  if (due == armed_ns) return;
  if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0) fail("timerfd_settime");
  armed_ns = due;
}

static void answer_what_is_due(void) {
  int64_t now = now_ns();
  while (waiting_count && waiting[first_waiting].at_ns <= now) {
    struct due due = waiting[first_waiting];
    first_waiting = (first_waiting + 1) % MOST_FDS;
    waiting_count--;
    if (connections[due.fd].buffer != NULL && connections[due.fd].number == due.number) {
      int64_t late_us = (now - due.at_ns) / 1000;
      lateness_us[late_us > MOST_LATENESS_US ? MOST_LATENESS_US : late_us]++;
      answered++;
      put(due.fd, answer);
    }
    now = now_ns();
  }
  set_timer();
}

static void execute(int fd, size_t body_length) {
  if (body_length == 2 || waiting_count == MOST_FDS) {
    put(fd, refusal);
    return;
  }
  waiting[(first_waiting + waiting_count) % MOST_FDS] =
      (struct due){.at_ns = now_ns() + latency_ns, .fd = fd, .number = connections[fd].number};
  if (waiting_count++ == 0) set_timer();
}

static void route(int fd, const char *request, size_t body_length) {
  if (strncmp(request, "POST /execute", 13) == 0)
    execute(fd, body_length);
  else if (strncmp(request, "GET /health ", 12) == 0)
    put_text(fd, "200 OK", "text/plain", "OK");
  else if (strncmp(request, "GET /metrics ", 13) == 0)
    put_metrics(fd);
  else if (strncmp(request, "GET /cache/stats ", 17) == 0)
    put_text(fd, "200 OK", "application/json", "{\"entries\":0,\"hits\":0,\"misses\":0,\"hit_rate\":0.0}");
  else if (strncmp(request, "GET /lateness ", 14) == 0)
    put_lateness(fd);
  else
    put_text(fd, "404 Not Found", "text/plain", "");
}

static size_t content_length(const char *head) {
  for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
    if (strncasecmp(line + 2, "content-length:", 15) == 0) return strtoul(line + 17, NULL, 10);
  return 0;
}

static void receive(int fd) {
  struct connection *connection = &connections[fd];
  ssize_t got = recv(fd, connection->buffer + connection->used, BUFFER - 1 - connection->used, 0);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) drop(fd);
    return;
  }
  connection->used += (size_t)got;
  connection->buffer[connection->used] = 0;
  char *end = strstr(connection->buffer, "\r\n\r\n");
  if (end == NULL) {
    if (connection->used == BUFFER - 1) drop(fd);
    return;
  }
  end[2] = 0; /* the head is a string of its own, so that nothing of the body is taken for a header */
  size_t head_length = (size_t)(end - connection->buffer) + 4, body_length = content_length(connection->buffer);
  end[2] = '\r';
  if (head_length + body_length >= BUFFER) {
    drop(fd);
  } else if (connection->used >= head_length + body_length) {
    connection->used = 0;
    route(fd, connection->buffer, body_length);
  }
}

static void accept_all(void) {
  static uint32_t number;
  int fd, on = 1;
  while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    if (fd >= MOST_FDS) {
      close(fd);
      continue;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[fd] = (struct connection){.buffer = malloc(BUFFER), .number = ++number};
    if (connections[fd].buffer == NULL) fail("malloc");
    watch(fd);
  }
}

static void start_listening(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&address, length) < 0 || listen(listen_fd, 16384) < 0)
    fail("listen");
  getsockname(listen_fd, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: fixed_latency LATENCY_MS TOKENS ANSWER_FILE REFUSAL_FILE\n");
    return 2;
  }
  time_ms = atol(argv[1]);
  latency_ns = time_ms * 1000000;
  tokens = atol(argv[2]);
  answer = response_of_file("200 OK", "application/json", argv[3]);
  refusal = response_of_file("422 Unprocessable Entity", "text/plain", argv[4]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* Where this is allowed the server is neither paged out nor kept waiting for its core. */
  mlockall(MCL_CURRENT);
  struct sched_param priority = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO, &priority);
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (poll_fd < 0 || timer_fd < 0) fail("epoll_create1, timerfd_create");
  start_listening();
  watch(listen_fd);
  watch(timer_fd);
  for (;;) {
    struct epoll_event events[MOST_EVENTS];
    int count = epoll_wait(poll_fd, events, MOST_EVENTS, -1);
    answer_what_is_due();
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      /* The timer's expirations are not read: setting it anew clears them, and a read could take one that is to come. */
      if (fd == listen_fd)
        accept_all();
      else if (fd != timer_fd && connections[fd].buffer != NULL)
        receive(fd);
    }
  }
}
