/* push.c: brings the target's volume to the source's content, over all sessions at once. */
#include <openssl/rand.h>
#include <sys/stat.h>

#include "parts.h"

enum { PROGRESS_MS = 100, LOOK_MS = 20, DEALS_A_SESSION = 8 };

struct hand {
	struct crew *crew;
	struct stream *session;
	pthread_t thread;
};

/* A thread for each session, and who waits for them. */
struct crew {
	struct push push;
	struct copy_sessions *sessions;
	struct hand hands[COPY_SESSIONS_MOST];
	size_t started; /* hands */
	struct growth growth;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t working;		   /* guarded */
	struct vmm_error *failure; /* guarded: the first that is not just a consequence of another */
};

static void note_failure(struct crew *crew, struct vmm_error *failure)
{
	/* Once one has failed the others are stopped: that they were is no news. */
	if (!crew->failure)
		crew->failure = failure;
	else
		error_clear(&failure);
	crew->push.stop = true;
}

static void *hand_run(void *argument)
{
	struct hand *hand = argument;
	struct crew *crew = hand->crew;
	struct vmm_error *failure = NULL;
	if (crew->push.job->gently)
		io_set_idle();
	sender_run(&crew->push, hand->session, &failure);
	pthread_mutex_lock(&crew->lock);
	if (failure)
		note_failure(crew, failure);
	crew->working--;
	pthread_cond_signal(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

static void report(const struct push *push, struct copy_progress *progress)
{
	*progress = (struct copy_progress){
		.done = push->done,
		.total = push->map.size,
		.data = push->data,
		.wire = push->wire,
		.present = push->present,
	};
}

/* A hand for each session that has none yet. */
static void start_hands(struct crew *crew)
{
	while (crew->started < crew->sessions->count) {
		struct hand *hand = &crew->hands[crew->started];
		*hand = (struct hand){.crew = crew, .session = crew->sessions->stream[crew->started]};
		pthread_mutex_lock(&crew->lock);
		int number = pthread_create(&hand->thread, NULL, hand_run, hand);
		struct vmm_error *failure = NULL;
		if (number) {
			error_errno(&failure, number, "starting a thread");
			note_failure(crew, failure);
		} else {
			crew->working++;
			crew->started++;
		}
		pthread_mutex_unlock(&crew->lock);
		if (number)
			return;
	}
}

/* What is yet to cross: all, where the target holds nothing; else as much as it was so far. */
static uint64_t to_cross(const struct push *push)
{
	uint64_t read = push->data, rest = push->data_total > read ? push->data_total - read : 0;
	if (push->fresh)
		return rest;
	return read ? (uint64_t)((double)push->wire * (double)rest / (double)read) : 0;
}

static int open_volume(const struct push *push, struct stream *session, struct vmm_error **err)
{
	return open_send(session, COPY_OPEN, push->job->size, push->key, push->job->volume, err);
}

/* Opens another session where that pays. It takes a while, in which the others go on. */
static void grow(struct crew *crew)
{
	struct copy_sessions *sessions = crew->sessions;
	if (!sessions->open || sessions->count >= crew->push.sessions || crew->push.stop ||
	    crew->push.job->rate_limit ||
	    !growth_pays(&crew->growth, crew->push.wire, to_cross(&crew->push), crew->push.fresh, steady_us()))
		return;
	struct stream *session;
	if (sessions->open(sessions->context, &session) < 0) {
		crew->push.sessions = sessions->count;
		return;
	}
	/* All may have been dealt by now; the next push has use for it then. One that is lost at once is nothing that was needed. */
	bool late = crew->push.stop || crew->push.next >= crew->push.map.count;
	if (!late && open_volume(&crew->push, session, NULL) < 0) {
		crew->push.sessions = sessions->count;
		stream_close(session);
		return;
	}
	sessions->stream[sessions->count++] = session;
	if (!late)
		start_hands(crew);
	growth_mark(&crew->growth, crew->push.wire, steady_us());
}

/* Waits until a hand is done, or a little. With the lock. */
static void wait_a_little(struct crew *crew)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&crew->changed, &crew->lock, &until);
}

/* Reports progress, and grows, until all hands are done. Returns false if the caller has cancelled. */
static bool watch(struct crew *crew)
{
	const struct copy_job *job = crew->push.job;
	bool wanted = true;
	int64_t told_ms = clock_steady_ms();
	pthread_mutex_lock(&crew->lock);
	while (crew->working) {
		wait_a_little(crew);
		bool last = !crew->working;
		pthread_mutex_unlock(&crew->lock);
		struct copy_progress progress;
		if (wanted && job->progress && (last || clock_steady_ms() - told_ms >= PROGRESS_MS)) {
			told_ms = clock_steady_ms();
			report(&crew->push, &progress);
			wanted = job->progress(job->context, &progress);
		}
		if (!wanted)
			crew->push.stop = true;
		grow(crew);
		pthread_mutex_lock(&crew->lock);
	}
	pthread_mutex_unlock(&crew->lock);
	return wanted;
}

static int crew_run(struct crew *crew, struct vmm_error **err)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	growth_mark(&crew->growth, 0, steady_us());
	start_hands(crew);
	bool wanted = watch(crew);
	while (crew->started)
		pthread_join(crew->hands[--crew->started].thread, NULL);
	pthread_cond_destroy(&crew->changed);
	pthread_mutex_destroy(&crew->lock);
	if (!crew->failure)
		return 0;
	if (!wanted && crew->failure->exit == VMM_CANCELLED) {
		error_clear(&crew->failure);
		error_set(&crew->failure, VMM_CANCELLED, "cancelled", "the copy of %s was cancelled",
			  job_name(crew->push.job));
	}
	error_take(err, crew->failure);
	return -1;
}

/* Small enough that sessions of unlike speed end together. */
static uint32_t deal_size(uint64_t extents, size_t sessions)
{
	uint64_t share = extents / (sessions * DEALS_A_SESSION);
	return share < 1 ? 1 : (uint32_t)min64(share, COPY_ORDER_MOST);
}

static bool has_data(const struct copy_leaves *leaves)
{
	for (size_t leaf = 0; leaf < leaves->count; leaf++)
		if (!tag_is_zero(leaves->tag[leaf]))
			return true;
	return false;
}

static uint64_t data_of(const struct extents *map)
{
	uint64_t leaves = 0;
	for (uint64_t extent = 0; extent < map->count; extent++)
		leaves += (uint64_t)__builtin_popcountll(map->leaves[extent]);
	return leaves * COPY_LEAF;
}

/* Nothing else is looked at, but for what the volume has grown by. */
static void narrow(struct push *push, uint64_t known_size)
{
	push->only = leaves_touched(push->map.size, push->job->only, push->job->only_count);
	if (push->map.size > known_size)
		leaves_pick(push->only, known_size / COPY_LEAF, leaf_count(push->map.size));
	for (uint64_t extent = 0; extent < push->map.count; extent++)
		push->map.leaves[extent] &= push->only[extent];
}

/* A key of its own, or that of the tags that the target's volume has. */
static int choose_key(struct push *push, struct copy_leaves *leaves, struct vmm_error **err)
{
	const struct copy_job *job = push->job;
	push->leaves = leaves;
	push->known = leaves && leaves->tag && leaves->size <= job->size;
	if (push->known) {
		memcpy(push->key, leaves->key, COPY_KEY);
		return 0;
	}
	push->key[0] = (uint8_t)job->digest;
	if (RAND_bytes(push->key + 1, COPY_SECRET) != 1)
		return error_set(err, VMM_FAILED, "system", "no random bytes for a key");
	if (!leaves)
		return 0;
	copy_leaves_free(leaves);
	return leaves_make(job->size, push->key, leaves, err);
}

static int check_size(const struct copy_job *job, struct vmm_error **err)
{
	struct stat file;
	if (job->size > COPY_SIZE_MOST)
		return error_set(err, VMM_FAILED, "too-large", "%s has %llu bytes", job_name(job),
				 (unsigned long long)job->size);
	/* Behind a file's end there would only seem to be a hole. */
	if (!fstat(job->fd, &file) && S_ISREG(file.st_mode) && (uint64_t)file.st_size < job->size)
		return error_set(err, VMM_FAILED, "read-failed", "%s ends at offset %llu, %llu bytes were to be copied",
				 job_name(job), (unsigned long long)file.st_size, (unsigned long long)job->size);
	return 0;
}

/* What there is to look at. */
static int map_source(struct push *push, struct vmm_error **err)
{
	const struct copy_job *job = push->job;
	if (extents_map(job->fd, job->size, &push->map, err) < 0)
		return error_context(err, "%s", job_name(job));
	if (!push->known)
		return 0;
	push->not_fresh = has_data(push->leaves);
	if (job->only)
		narrow(push, push->leaves->size);
	return leaves_grow(push->leaves, job->size, err);
}

/* The targets look at their volume while we look at ours. */
static int open_all(struct crew *crew, struct vmm_error **err)
{
	for (size_t i = 0; i < crew->sessions->count; i++)
		if (open_volume(&crew->push, crew->sessions->stream[i], err) < 0)
			return -1;
	return 0;
}

static int run(struct crew *crew, struct copy_leaves *leaves, struct vmm_error **err)
{
	struct push *push = &crew->push;
	struct copy_sessions *sessions = crew->sessions;
	if (check_size(push->job, err) < 0 || choose_key(push, leaves, err) < 0)
		return -1;
	int done = open_all(crew, err);
	if (done == 0)
		done = map_source(push, err);
	push->data_total = data_of(&push->map);
	push->sessions = sessions->open ? growth_most(sessions->count) : sessions->count;
	push->deal = deal_size(push->map.count, push->sessions);
	if (done == 0)
		done = crew_run(crew, err);
	for (size_t i = 0; done < 0 && i < sessions->count; i++)
		stream_finish(sessions->stream[i]);
	return done;
}

int copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
	      struct copy_progress *result, struct vmm_error **err)
{
	struct crew crew = {.push.job = job, .sessions = sessions};
	pace_begin(&crew.push.pace, job->rate_limit);
	int done = run(&crew, leaves, err);
	if (result)
		report(&crew.push, result);
	if (done < 0 && leaves)
		copy_leaves_free(leaves); /* some of it may never have arrived */
	extents_free(&crew.push.map);
	free(crew.push.only);
	pace_end(&crew.push.pace);
	return done;
}
