/* The sockets of libcurl on the runtime's poller.
 *
 * The poller tells edges, and libcurl expects levels: it may leave bytes unread
 * and want to be called again. So a socket on which libcurl has acted is looked
 * at once more, all of a tick by one call of poll(). In exchange a descriptor
 * is handed to the poller once, and not for each transfer. */
#include "sockets.h"

#include "client.h"
#include "public.h"
#include "runtime.h"
#include "transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void art_sockets_init(art_sockets *sockets) {
  art_list_init(&sockets->acting);
  art_list_init(&sockets->checked);
}

static art_curl_socket *socket_at(art_sockets *sockets, curl_socket_t fd) {
  return fd >= 0 && fd < sockets->capacity ? sockets->items[fd] : NULL;
}

static void enqueue(art_link *list, art_curl_socket *socket) {
  art_list_remove(&socket->link);
  art_list_append(list, &socket->link);
  art_client_schedule(socket->client);
}

static void on_ready(art_watcher *watcher, unsigned events) {
  art_curl_socket *socket = art_container_of(watcher, art_curl_socket, watcher);

  events &= ART_READABLE | ART_WRITABLE;
  socket->ready |= events;
  socket->quiet &= ~events;
  if (socket->ready & socket->wanted)
    enqueue(&socket->client->sockets.acting, socket);
}

/* Makes room for the descriptor; false without memory. */
static bool reserve(art_sockets *sockets, int fd) {
  int capacity = sockets->capacity > 0 ? sockets->capacity : 64;
  art_curl_socket **items;

  if (fd < sockets->capacity) return true;
  while (capacity <= fd) capacity *= 2;
  items = realloc(sockets->items, (size_t) capacity * sizeof(*items));
  if (items == NULL) return false;
  while (sockets->capacity < capacity) items[sockets->capacity++] = NULL;
  sockets->items = items;
  return true;
}

static art_curl_socket *add(art_client *client, int fd, bool is_foreign) {
  art_curl_socket *socket;

  if (!reserve(&client->sockets, fd)) return NULL;
  socket = calloc(1, sizeof(*socket));
  if (socket == NULL) return NULL;
  socket->watcher.fd = fd;
  socket->watcher.on_ready = on_ready;
  socket->client = client;
  socket->is_foreign = is_foreign;
  art_list_init(&socket->link);
  client->sockets.items[fd] = socket;
  if (!is_foreign) client->sockets.count++;
  return socket;
}

static void drop(art_curl_socket *socket) {
  art_client *client = socket->client;

  client->sockets.items[socket->watcher.fd] = NULL;
  if (!socket->is_foreign) client->sockets.count--;
  socket->is_closed = true;
  art_list_remove(&socket->link);
  art_poll_remove(client->rt, &socket->watcher);
  art_poll_free(client->rt, &socket->watcher);
}

void art_sockets_free(art_sockets *sockets) {
  int fd;

  for (fd = 0; fd < sockets->capacity; fd++)
    if (sockets->items[fd] != NULL) drop(sockets->items[fd]);
  free(sockets->items);
  free(sockets->polled);
}

curl_socket_t art_sockets_on_open(void *user, curlsocktype purpose,
                                  struct curl_sockaddr *address) {
  art_transfer *transfer = ((art_slot *) user)->transfer;
  int fd;

  (void) purpose;
  if (transfer->is_public_only && !art_is_public(&address->addr)) {
    transfer->is_private = true;
    return CURL_SOCKET_BAD;
  }
  fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
              address->protocol);
  if (fd < 0) {
    transfer->socket_error = uv_translate_sys_error(errno);
  } else if (add(transfer->client, fd, false) == NULL) {
    close(fd);
    transfer->socket_error = UV_ENOMEM;
    fd = -1;
  }
  return fd < 0 ? CURL_SOCKET_BAD : fd;
}

int art_sockets_on_close(void *user, curl_socket_t fd) {
  art_client *client = user;
  art_curl_socket *socket = socket_at(&client->sockets, fd);

  if (socket != NULL) drop(socket);
  return close(fd);
}

/* A socket that cannot be watched: its transfer fails. */
static void break_transfer(CURL *easy, int error) {
  art_slot *slot = NULL;

  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &slot);
  if (slot != NULL && slot->transfer != NULL)
    art_transfer_break(slot->transfer, error);
}

static void watch(art_curl_socket *socket, CURL *easy) {
  int error = art_poll_add(socket->client->rt, &socket->watcher);

  if (error != 0) break_transfer(easy, error);
}

int art_sockets_on_change(CURL *easy, curl_socket_t fd, int what, void *user,
                          void *assigned) {
  art_client *client = user;
  art_curl_socket *socket = socket_at(&client->sockets, fd);

  (void) assigned;
  if (what == CURL_POLL_REMOVE) {
    if (socket == NULL) return 0;
    socket->wanted = 0;
    art_list_remove(&socket->link);
    if (socket->is_foreign) drop(socket);
    return 0;
  }
  if (socket == NULL) socket = add(client, fd, true);
  if (socket == NULL) {
    break_transfer(easy, UV_ENOMEM);
    return 0;
  }
  socket->wanted = ((what & CURL_POLL_IN) ? ART_READABLE : 0u) |
                   ((what & CURL_POLL_OUT) ? ART_WRITABLE : 0u);
  if (!socket->watcher.watched) watch(socket, easy);
  if (socket->wanted & socket->ready)
    enqueue(&client->sockets.acting, socket);
  else if (socket->wanted & ~socket->quiet)
    enqueue(&client->sockets.checked, socket);
  return 0;
}

void art_sockets_act(art_client *client) {
  art_sockets *sockets = &client->sockets;
  art_link acting;

  /* What becomes ready meanwhile has its turn in the next tick. */
  art_list_init(&acting);
  while (!art_list_empty(&sockets->acting)) {
    art_link *link = sockets->acting.next;

    art_list_remove(link);
    art_list_append(&acting, link);
  }
  while (!art_list_empty(&acting)) {
    art_curl_socket *socket =
        art_container_of(acting.next, art_curl_socket, link);
    unsigned events = socket->ready & socket->wanted;
    int what = ((events & ART_READABLE) ? CURL_CSELECT_IN : 0) |
               ((events & ART_WRITABLE) ? CURL_CSELECT_OUT : 0);

    art_list_remove(&socket->link);
    socket->ready &= ~events;
    if (what == 0) continue;
    art_client_act(client, socket->watcher.fd, what);
    /* Freed only after the poller has returned, so it can be asked. */
    if (!socket->is_closed && socket->wanted != 0 &&
        art_list_empty(&socket->link))
      art_list_append(&sockets->checked, &socket->link);
  }
}

static bool reserve_polled(art_sockets *sockets, nfds_t count) {
  struct pollfd *polled;

  if (count <= sockets->polled_capacity) return true;
  polled = realloc(sockets->polled, 2 * count * sizeof(*polled));
  if (polled == NULL) return false;
  sockets->polled = polled;
  sockets->polled_capacity = 2 * count;
  return true;
}

static void checked(art_curl_socket *socket, short found) {
  unsigned ready = 0;

  if (found & ~POLLOUT) ready |= ART_READABLE; /* or an error */
  if (found & ~POLLIN) ready |= ART_WRITABLE;
  socket->ready |= ready & socket->wanted;
  socket->quiet = socket->wanted & ~socket->ready;
  if (socket->ready & socket->wanted)
    enqueue(&socket->client->sockets.acting, socket);
  else
    art_poll_want(socket->client->rt, &socket->watcher, socket->wanted);
}

void art_sockets_check(art_client *client) {
  art_sockets *sockets = &client->sockets;
  art_link *link = sockets->checked.next;
  nfds_t count = 0, i;

  for (; link != &sockets->checked; link = link->next) {
    art_curl_socket *socket = art_container_of(link, art_curl_socket, link);

    if (!reserve_polled(sockets, count + 1)) break;
    sockets->polled[count].fd = socket->watcher.fd;
    sockets->polled[count++].events =
        (short) (((socket->wanted & ART_READABLE) ? POLLIN : 0) |
                 ((socket->wanted & ART_WRITABLE) ? POLLOUT : 0));
  }
  if (count == 0 || poll(sockets->polled, count, 0) < 0) return;
  for (i = 0; i < count; i++) {
    art_curl_socket *socket =
        art_container_of(sockets->checked.next, art_curl_socket, link);

    art_list_remove(&socket->link);
    checked(socket, sockets->polled[i].revents);
  }
}
