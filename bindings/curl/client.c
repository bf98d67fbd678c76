/* The HTTP client: when libcurl is called, and what it keeps. */
#include "client.h"

#include "ending.h"
#include "runtime.h"
#include "transfer.h"

#include <stdlib.h>
#include <string.h>

#define MOST_FREE_SLOTS 256u
#define ROUNDS 4 /* calls of libcurl that it wants at once, in one tick */
#define READ_SIZE 65536L

/* --- When --- */

/* Calls `work` at this time, or earlier. */
static void arm(art_client *client, uint64_t at) {
  asyncrt_timer *timer = &client->timer.timer;

  if (at == UINT64_MAX || (timer->heap_index != 0 && timer->at <= at)) return;
  if (timer->heap_index != 0) art_timer_disarm(&client->rt->timers, timer);
  timer->at = at;
  if (art_timers_reserve(&client->rt->timers, 1) == 0)
    art_timer_arm(&client->rt->timers, timer);
}

void art_client_schedule(art_client *client) {
  if (!client->working) arm(client, client->rt->tick_now);
}

/* Time that is virtual does not pass while something real is waited for, and
 * libcurl looks at the real one. */
static void on_seconds(uv_timer_t *timer) {
  art_client *client = timer->data;

  client->due = client->rt->tick_now;
  art_client_schedule(client);
}

static int on_due(CURLM *multi, long ms, void *user) {
  art_client *client = user;

  (void) multi;
  client->due = UINT64_MAX;
  if (client->seconds != NULL) uv_timer_stop(client->seconds);
  if (ms < 0) return 0;
  if (ms == 0) {
    client->due = client->rt->tick_now;
  } else if (client->seconds != NULL) {
    uv_update_time(client->rt->loop);
    uv_timer_start(client->seconds, on_seconds, (uint64_t) ms, 0);
    asyncrt_loop_changed(client->rt);
  } else {
    client->due = asyncrt_now(client->rt) + (uint64_t) ms * ART_NS_PER_MS;
  }
  if (!client->working) arm(client, client->due);
  return 0;
}

static art_transfer *transfer_of(CURL *easy) {
  art_slot *slot = NULL;

  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &slot);
  return slot->transfer;
}

static void collect(art_client *client) {
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read(client->multi, &left)) != NULL)
    if (message->msg == CURLMSG_DONE)
      art_transfer_done(transfer_of(message->easy_handle),
                        message->data.result);
}

static void resume(art_client *client) {
  while (!art_list_empty(&client->resumed)) {
    art_link *link = client->resumed.next;

    art_list_remove(link);
    art_transfer_resume(art_container_of(link, art_transfer, resumed));
  }
}

static void tell(art_client *client) {
  while (!art_list_empty(&client->told)) {
    art_link *link = client->told.next;

    art_list_remove(link);
    art_transfer_tell(art_container_of(link, art_transfer, told));
  }
}

void art_client_act(art_client *client, curl_socket_t fd, int what) {
  int running;

  if (curl_multi_socket_action(client->multi, fd, what, &running) ==
      CURLM_OUT_OF_MEMORY)
    client->lacks_memory = true;
}

/* Without memory libcurl loses sight of a socket, and does not say whose. */
static void give_up(art_client *client) {
  art_link *link = client->transfers.next;

  client->lacks_memory = false;
  while (link != &client->transfers) {
    art_transfer *transfer = art_container_of(link, art_transfer, link);

    link = link->next;
    if (!transfer->is_added) continue;
    art_transfer_fail(transfer, "ENOMEM", "not enough memory");
    art_transfer_finish(transfer);
  }
}

/* Has libcurl do what there is to do. Its callbacks only take notes, which are
 * acted on once it has returned. */
static void on_time(art_callback_timer *timer) {
  art_client *client = art_container_of(timer, art_client, timer);
  int round = 0;

  client->working = true;
  art_sockets_act(client);
  while (client->due <= client->rt->tick_now && round++ < ROUNDS) {
    client->due = UINT64_MAX;
    art_client_act(client, CURL_SOCKET_TIMEOUT, 0);
    resume(client);
  }
  resume(client);
  collect(client);
  tell(client);
  client->working = false;
  if (client->lacks_memory) give_up(client);
  art_sockets_check(client);
  arm(client, client->due);
  if (!art_list_empty(&client->resumed) ||
      !art_list_empty(&client->sockets.acting))
    art_client_schedule(client);
}

/* --- Slots --- */

/* What every transfer has. libcurl copies strings. */
static CURLcode set_common(art_client *client, art_slot *slot) {
  CURL *easy = slot->easy;
  CURLcode codes[] = {
      curl_easy_setopt(easy, CURLOPT_PRIVATE, slot),
      curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error),
      curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
      curl_easy_setopt(easy, CURLOPT_SHARE, client->share),
      curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"),
      curl_easy_setopt(easy, CURLOPT_PROXY, ""), /* not the environment's */
      curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, READ_SIZE),
      curl_easy_setopt(easy, CURLOPT_SSLVERSION,
                       (long) CURL_SSLVERSION_TLSv1_2),
      curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L),
      curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L),
      curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 600L),
      curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, art_sockets_on_close),
      curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client),
      curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, art_sockets_on_open),
      curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, slot),
      client->cookies ? curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "")
                      : CURLE_OK,
      art_ending_watch(client, easy),
      curl_easy_setopt(easy, CURLOPT_USERAGENT, "asyncrt/" ASYNCRT_VERSION),
      /* Should a name have escaped us: its thread is not waited for. */
      curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L),
  };
  size_t i;

  for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
    if (codes[i] != CURLE_OK) return codes[i];
  return CURLE_OK;
}

art_slot *art_slot_take(art_client *client) {
  art_slot *slot = client->free_slots;

  if (slot != NULL) {
    client->free_slots = slot->next;
    client->free_count--;
    slot->error[0] = '\0';
    return slot;
  }
  slot = calloc(1, sizeof(*slot));
  if (slot == NULL) return NULL;
  slot->easy = curl_easy_init();
  if (slot->easy != NULL && set_common(client, slot) == CURLE_OK &&
      art_transfer_set_callbacks(slot) == CURLE_OK)
    return slot;
  curl_easy_cleanup(slot->easy);
  free(slot);
  return NULL;
}

void art_slot_give(art_client *client, art_slot *slot, bool clean) {
  slot->transfer = NULL;
  if (client->multi == NULL || client->free_count >= MOST_FREE_SLOTS ||
      !clean) {
    curl_easy_cleanup(slot->easy);
    free(slot);
    return;
  }
  slot->next = client->free_slots;
  client->free_slots = slot;
  client->free_count++;
}

static void free_slots(art_client *client) {
  while (client->free_slots != NULL) {
    art_slot *slot = client->free_slots;

    client->free_slots = slot->next;
    curl_easy_cleanup(slot->easy);
    free(slot);
  }
  client->free_count = 0;
}

/* --- Cookies --- */

/* Reads the jar's file into the share, or writes it. */
static void exchange_cookies(art_client *client, bool write) {
  CURL *easy;

  if (client->cookie_file == NULL) return;
  easy = curl_easy_init();
  if (easy == NULL) return;
  curl_easy_setopt(easy, CURLOPT_SHARE, client->share);
  curl_easy_setopt(easy, write ? CURLOPT_COOKIEJAR : CURLOPT_COOKIEFILE,
                   client->cookie_file);
  curl_easy_setopt(easy, CURLOPT_COOKIELIST, write ? "FLUSH" : "RELOAD");
  curl_easy_setopt(easy, CURLOPT_SHARE, NULL);
  curl_easy_cleanup(easy);
}

/* --- Life --- */

static void on_handle_close(asyncrt_handle *handle) {
  art_client_close(art_container_of(handle, art_client, handle));
}

static void closed(art_client *client) {
  asyncrt_handle_closed(client->rt, &client->handle);
  art_client_release(client);
}

static void on_seconds_closed(uv_handle_t *handle) {
  art_client *client = handle->data;

  free(handle);
  closed(client);
}

void art_client_close(art_client *client) {
  CURLM *multi = client->multi;

  if (multi == NULL) return;
  if (client->box != NULL) art_box_empty(client->rt, client->box);
  client->box = NULL;
  while (!art_list_empty(&client->transfers)) {
    art_transfer *transfer =
        art_container_of(client->transfers.next, art_transfer, link);

    art_transfer_fail(transfer, "ECLOSED", "the client was closed");
    art_transfer_finish(transfer);
  }
  exchange_cookies(client, true);
  free_slots(client);
  curl_multi_cleanup(multi);
  client->multi = NULL;
  curl_share_cleanup(client->share);
  art_names_free(&client->names);
  art_sockets_free(&client->sockets);
  art_timer_disarm(&client->rt->timers, &client->timer.timer);
  if (client->seconds == NULL) {
    closed(client);
  } else {
    uv_close((uv_handle_t *) client->seconds, on_seconds_closed);
    asyncrt_loop_changed(client->rt);
  }
}

void art_client_release(art_client *client) {
  if (--client->users > 0) return;
  free(client->cookie_file);
  free(client);
}

static bool set_multi(art_client *client, const art_client_options *options) {
  CURLM *multi = client->multi;
  CURLMcode codes[] = {
      curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, art_sockets_on_change),
      curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client),
      curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_due),
      curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client),
      curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                        options->connections),
      curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                        options->per_host),
      curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, options->connections),
  };
  size_t i;

  for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
    if (codes[i] != CURLM_OK) return false;
  curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  if (client->cookies)
    curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
  return true;
}

/* Opens the parts that are owned; false without memory. */
static bool open_parts(art_client *client, const art_client_options *options) {
  if (options->cookie_file != NULL) {
    client->cookie_file = strdup(options->cookie_file);
    if (client->cookie_file == NULL) return false;
  }
  if (client->rt->options.virtual_time) {
    client->seconds = malloc(sizeof(*client->seconds));
    if (client->seconds == NULL) return false;
  }
  client->multi = curl_multi_init();
  client->share = curl_share_init();
  return client->multi != NULL && client->share != NULL &&
         set_multi(client, options);
}

art_client *art_client_new(lua_State *L, const art_client_options *options) {
  art_lookups *lookups = art_lookups_of(L);
  art_client *client = calloc(1, sizeof(*client));

  if (client == NULL) return NULL;
  client->rt = art_runtime_of(L);
  client->users = 1;
  client->cookies = options->cookies;
  client->due = UINT64_MAX;
  client->timer.timer.kind = ART_TIMER_CALLBACK;
  client->timer.fire = on_time;
  art_list_init(&client->transfers);
  art_list_init(&client->told);
  art_list_init(&client->resumed);
  art_names_init(&client->names, client->rt, lookups);
  art_sockets_init(&client->sockets);
  if (!open_parts(client, options)) {
    curl_multi_cleanup(client->multi);
    curl_share_cleanup(client->share);
    free(client->seconds);
    art_client_release(client);
    return NULL;
  }
  if (client->seconds != NULL) {
    uv_timer_init(client->rt->loop, client->seconds);
    client->seconds->data = client;
  }
  exchange_cookies(client, false);
  asyncrt_handle_opened(client->rt, &client->handle, "HTTP client",
                        on_handle_close);
  return client;
}
