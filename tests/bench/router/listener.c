/* The services that come and go: listens on a Unix socket, and adds a byte to a file when it does. */

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **words) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (count != 3 || strlen(words[1]) >= sizeof address.sun_path) return 2;
    strcpy(address.sun_path, words[1]);
    unlink(words[1]);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) return 1;
    if (write(open(words[2], O_WRONLY | O_APPEND | O_CREAT, 0600), ".", 1) != 1) return 1;
    for (;;) close(accept(listener, 0, 0));
}
