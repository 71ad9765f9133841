/* The floor: a container that does nothing but answer. What a start of it costs is what the engine
 * costs; nothing that serves a model can be faster.
 *
 * GET /ping -> 200, empty. POST /invocations -> 200, {"floor":true}. Anything else -> 404.
 * Keep-alive, one client after another; SIGTERM ends it with 0 once what was sent is answered.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <poll.h>

#define CLIENTS 64
#define HEAD 8192
#ifndef LAST_ROUNDS
#define LAST_ROUNDS 250 /* of 20 ms: how long half a request is waited for after SIGTERM */
#endif

struct client {
    char head[HEAD];
    size_t used;  /* bytes of `head` that are filled */
    size_t body;  /* bytes of the present request's body still to be thrown away */
};

static struct pollfd polls[CLIENTS + 1];
static struct client clients[CLIENTS + 1];

static volatile sig_atomic_t leaving;

static void leave(int number) {
    (void)number;
    leaving = 1;
}

static void answer(int fd, const char *head) {
    static const char ping[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    static const char invocations[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                      "Content-Length: 14\r\n\r\n{\"floor\":true}";
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    if (!strncmp(head, "GET /ping ", 10)) (void)!write(fd, ping, sizeof ping - 1);
    else if (!strncmp(head, "POST /invocations ", 18)) (void)!write(fd, invocations, sizeof invocations - 1);
    else (void)!write(fd, missing, sizeof missing - 1);
}

/* Answer every whole request in the buffer. 0 when the client is to be dropped. */
static int serve(int fd, struct client *c) {
    for (;;) {
        size_t skip = c->body < c->used ? c->body : c->used;
        memmove(c->head, c->head + skip, c->used -= skip);
        c->body -= skip;
        c->head[c->used] = 0;
        if (c->body) return 1;
        char *end = strstr(c->head, "\r\n\r\n");
        if (!end) return c->used < HEAD - 1;
        *end = 0;
        for (char *line = strstr(c->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
            if (!strncasecmp(line + 2, "Content-Length:", 15)) c->body = strtoul(line + 17, NULL, 10);
            if (!strncasecmp(line + 2, "Expect: 100-", 12)) (void)!write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        }
        answer(fd, c->head);
        c->body += (size_t)(end + 4 - c->head);
    }
}

/* Take in what a client has sent, and answer it. 0 when the client is to be dropped. */
static int hear(int i) {
    struct client *c = &clients[i];
    ssize_t got = read(polls[i].fd, c->head + c->used, HEAD - 1 - c->used);
    if (got <= 0) return 0;
    c->used += (size_t)got;
    return serve(polls[i].fd, c);
}

static void drop(int i) {
    close(polls[i].fd);
    polls[i].fd = -1;
}

/* Take a client in, where there is room. 0 when none waits. */
static int take(void) {
    int one = 1, i = 1;
    while (i <= CLIENTS && polls[i].fd >= 0) i++;
    if (i > CLIENTS) return 0;
    polls[i].fd = accept(polls[0].fd, NULL, NULL);
    if (polls[i].fd < 0) return 0;
    setsockopt(polls[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    clients[i].used = clients[i].body = 0;
    return 1;
}

/* Answer what was sent before SIGTERM, whole or in part; closing a socket that holds something unread
 * would reset the connection. */
static void finish(void) {
    while (take()) {}
    drop(0);
    for (int round = 0; round < LAST_ROUNDS; round++) {
        int unfinished = 0, heard = poll(polls, CLIENTS + 1, 20);
        for (int i = 1; i <= CLIENTS; i++) {
            struct client *c = &clients[i];
            if (polls[i].fd < 0) continue;
            if (heard > 0 && polls[i].revents && !(hear(i) && (c->used || c->body))) drop(i);
            unfinished += polls[i].fd >= 0 && (c->used || c->body);
        }
        if (heard == 0 && !unfinished) return;
    }
}

int main(void) {
    const char *port = getenv("SAGEMAKER_BIND_TO_PORT");
    sigset_t running, ends;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port ? atoi(port) : 8080)};
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, &running); /* they come while ppoll waits, never just before it */
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 64)) {
        perror("floor: cannot listen");
        return 1;
    }
    for (int i = 0; i <= CLIENTS; i++) polls[i] = (struct pollfd){.fd = i ? -1 : listener, .events = POLLIN};
    fcntl(listener, F_SETFL, O_NONBLOCK);
    while (!leaving) {
        if (ppoll(polls, CLIENTS + 1, NULL, &running) < 0) continue;
        for (int i = 1; i <= CLIENTS; i++) {
            if (polls[i].fd >= 0 && polls[i].revents && !hear(i)) drop(i);
        }
        if (polls[0].revents) take();
    }
    finish();
    return 0;
}
