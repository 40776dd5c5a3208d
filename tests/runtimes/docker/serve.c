/* A server for tests: answers each HTTP request with the value of VERSION, on the service's Unix socket,
 * or on PORT where it has one. Ends on SIGTERM, as the first program of a container only does if it says so. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void end(int number) { _exit(128 + number); }

static int listener(void) {
  const char *port = getenv("PORT"), *path = getenv("ATEK_ASSIGNED_SOCKET_FILE");
  struct sockaddr_in in = {.sin_family = AF_INET};
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int made = socket(port ? AF_INET : AF_UNIX, SOCK_STREAM, 0), yes = 1;
  if (port) {
    in.sin_port = htons(atoi(port));
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(made, (struct sockaddr *)&in, sizeof in)) return -1;
  } else {
    strncpy(un.sun_path, path ? path : "", sizeof un.sun_path - 1);
    unlink(un.sun_path);
    if (bind(made, (struct sockaddr *)&un, sizeof un)) return -1;
  }
  return listen(made, 64) ? -1 : made;
}

int main(void) {
  char request[4096], answer[512];
  const char *version = getenv("VERSION");
  signal(SIGTERM, end);
  signal(SIGPIPE, SIG_IGN);
  int made = listener();
  if (made < 0) { perror("listen"); return 1; }
  if (!version) version = "hello";
  printf("serves %s\n", version);
  fflush(stdout);
  for (;;) {
    int client = accept(made, NULL, NULL);
    if (client < 0) continue;
    if (read(client, request, sizeof request) > 0) {
      int n = snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       strlen(version), version);
      if (write(client, answer, n) < 0) perror("write");
    }
    close(client);
  }
}
