/* A model server of which it is known which files it reads, and when.
 *
 * At start: /srv/weights.bin and /srv/labels.txt, whole; under another uid than 0 /srv/user.txt;
 * where it cannot write /probe /srv/read-only.txt.
 * POST /invocations: nothing more for application/json, /srv/wrong-type.txt for anything else,
 * /srv/broken.txt for a body that does not begin with a brace. GET /metrics: /srv/metrics.txt.
 * Of those beyond the first two a missing one is an empty text; with STRICT set it ends the start
 * (exit 3) or the request is answered 500. A process for each client; SIGTERM ends it with 0 once
 * no request is under way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD 16384

static unsigned long sum; /* of the weights' bytes: a missing chunk would show */
static char label[256];
static int *busy;         /* requests under way, of all processes */
static volatile sig_atomic_t leaving;

static void leave(int number) {
    (void)number;
    leaving = 1;
}

/* The file's text in `into`. 0 when there is none and there should be. */
static int text(const char *path, char *into, size_t room) {
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, into, room - 1);
    into[got > 0 ? got : 0] = 0;
    if (fd >= 0) close(fd);
    return fd >= 0 || !getenv("STRICT");
}

static void must(const char *path) {
    char ignored[4096];
    if (text(path, ignored, sizeof ignored)) return;
    fprintf(stderr, "serve: cannot open %s: %s\n", path, strerror(errno));
    exit(3);
}

static void start(void) {
    static unsigned char block[1 << 16];
    ssize_t got;
    int fd = open("/srv/weights.bin", O_RDONLY);
    if (fd < 0) {
        perror("serve: cannot open /srv/weights.bin");
        exit(3);
    }
    while ((got = read(fd, block, sizeof block)) > 0)
        for (ssize_t i = 0; i < got; i++) sum += block[i];
    if (got < 0) {
        perror("serve: cannot read /srv/weights.bin");
        exit(3);
    }
    close(fd);
    must("/srv/labels.txt");
    text("/srv/labels.txt", label, sizeof label);
    label[strcspn(label, "\r\n")] = 0;
    if (getuid()) must("/srv/user.txt");
    if ((fd = open("/probe", O_CREAT | O_WRONLY, 0600)) < 0) {
        if (errno == EROFS) must("/srv/read-only.txt");
    } else {
        close(fd);
        unlink("/probe");
    }
}

static void answer(int fd, const char *status, const char *type, const char *body) {
    char all[8192];
    int length = snprintf(all, sizeof all, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                          status, type, strlen(body), body);
    (void)!write(fd, all, (size_t)length);
}

static void answer_file(int fd, const char *status, const char *path) {
    char body[4096];
    if (text(path, body, sizeof body)) answer(fd, status, "text/plain", body);
    else answer(fd, "500 Internal Server Error", "text/plain", path);
}

static void invocations(int fd, int json, char first) {
    char body[512];
    if (!json) return answer_file(fd, "415 Unsupported Media Type", "/srv/wrong-type.txt");
    if (first != '{' && first != '[') return answer_file(fd, "400 Bad Request", "/srv/broken.txt");
    snprintf(body, sizeof body, "{\"sum\": %lu, \"label\": \"%s\"}", sum, label);
    answer(fd, "200 OK", "application/json", body);
}

/* One client, until it goes. */
static void serve(int fd) {
    char head[HEAD], block[1 << 16];
    size_t used = 0;
    ssize_t got;
    for (;;) {
        char *end;
        int json = 0;
        size_t length = 0, have;
        head[used] = 0;
        while (!(end = strstr(head, "\r\n\r\n"))) {
            if (used == HEAD - 1 || (got = read(fd, head + used, HEAD - 1 - used)) <= 0) return;
            used += (size_t)got;
            head[used] = 0;
        }
        __sync_fetch_and_add(busy, 1);
        *end = 0;
        for (char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
            if (!strncasecmp(line + 2, "Content-Length:", 15)) length = strtoul(line + 17, NULL, 10);
            if (!strncasecmp(line + 2, "Content-Type:", 13)) json = !!strcasestr(line + 15, "application/json");
            if (!strncasecmp(line + 2, "Expect: 100-", 12)) (void)!write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        }
        end += 4;
        have = used - (size_t)(end - head);
        char first = have && length ? *end : 0;
        size_t taken = have < length ? have : length;
        for (length -= taken; length; length -= (size_t)got) {
            if ((got = read(fd, block, length < sizeof block ? length : sizeof block)) <= 0) break;
            if (!first) first = *block;
        }
        if (!strncmp(head, "GET /ping ", 10)) answer(fd, "200 OK", "text/plain", "");
        else if (!strncmp(head, "GET /metrics ", 13)) answer_file(fd, "200 OK", "/srv/metrics.txt");
        else if (!strncmp(head, "POST /invocations ", 18)) invocations(fd, json, first);
        else answer(fd, "404 Not Found", "text/plain", "");
        __sync_fetch_and_sub(busy, 1);
        if (length) return;
        used = have - taken;
        memmove(head, end + taken, used);
    }
}

int main(void) {
    const char *port = getenv("SAGEMAKER_BIND_TO_PORT");
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port ? atoi(port) : 8080)};
    struct pollfd waits = {.fd = listener, .events = POLLIN};
    start();
    busy = mmap(NULL, sizeof *busy, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 512)) {
        perror("serve: cannot listen");
        return 1;
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    /* After SIGTERM half a second more, for what still waits in the socket's queue. */
    for (int rounds = 0; rounds < 50; rounds += leaving) {
        poll(&waits, 1, 10);
        for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
            if (fork() == 0) {
                signal(SIGTERM, SIG_IGN);
                close(listener);
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                serve(fd);
                _exit(0);
            }
            close(fd);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
    }
    for (int round = 0; round < 2500 && *busy > 0; round++) usleep(10000);
    return 0;
}
