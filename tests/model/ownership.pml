/* ownership.pml: who may run a guest while a task moves it from node S to node T. README.md says what is modelled, what is not,
 * and how a trail is read. -DMODE=RESTART, OFFLINE or LIVE; -DFAULTS=n: how many faults may come in all; -DMISTAKE_...: a mistake
 * that the check must find.
 *
 * The names are those of the code: an inline is the function or the operation of that name. What is global is on a disk, or is the
 * world; what is local to a proctype dies with that process. tables.h is made from the code's tables (tables.c). */
#include "tables.h"

#define RUNS   (MODE != OFFLINE) /* the guest ran when the task began */
#define COPIES (MODE != LIVE)	 /* its volumes are copied; else both nodes see the same */

#define S	0
#define T	1
#define NOBODY	2

/* A guest on a node. A held start is WHOLE. */
#define OFF	0
#define PART	1 /* paused, its memory is arriving */
#define WHOLE	2 /* paused, complete */
#define RUNNING 3

/* A node's volumes of the guest. */
#define NONE	0
#define OLD	1
#define NEWEST	2

/* What a call says. */
#define DONE	      0
#define SILENT	      1
#define WRONG	      2 /* error wrong-state */
#define WAS_COMMITTED 3

/* The generation that the commit gives. Before it is 0; an administrator's decision gives one more. */
#define COMMIT_GENERATION   1
#define DECISION_GENERATION 2

/* ---------------------------------------------------------------- what is */

bool on[2] = true, link = true;
byte faults = FAULTS;
bool quiet; /* no faults any more, both nodes are up and see one another, and each recovers in turn */
byte turn = NOBODY;
bool decided; /* an administrator has decided: once at most */

/* On each node's disk: the guest record, the definition, the volumes. */
byte state[2], owner[2], generation[2];
bool locked[2], defined[2];
byte volumes[2];
bool released; /* T's record: the permit that a release leaves; void after a boot */
byte guest[2];
#ifdef MISTAKE_PERMIT_OUTLIVES
bool permit[2]; /* what a killed process has left in the record */
#endif

/* On S's disk: the task's journal. Its records: */
/* JOURNAL do done undone asked moving commit give-up given-up went-on decision */
bool did_stop, asked, done_define, did_handover, done_handover, moving;
bool commit, done_release, done_settle, give_up, given_up, done_unlock;
bool undone_handover, undone_stop, went_on;
byte decision = NOBODY;
bool begun, ended;

byte late;	   /* an operation that T will do though its caller has given it up: NOTHING, or its number */
bool killed[2];	   /* the process of ours on that node dies now */
bool rebooted;	   /* S was, since the task began */
byte job;	   /* libvirt's: 0 none, 1 memory moves, 2 S's guest is stopped, 3 T has all of it */
bool migrated;	   /* S's guest is off because a job ended well */
bool did_not_stay; /* the task waits for an administrator: the released guest has ended */

#define REACH (on[S] && on[T] && link)
#define FAULT (faults > 0 && !quiet && begun && !ended)

/* record.c: refusal, and the permit. A target that has committed admits starts from its release on, in that boot. */
#ifdef MISTAKE_COMMITTED_STARTS_AT_BOOT
#define ADMITS(n) ((state[n] == RECORD_IDLE || state[n] == RECORD_COMMITTED) && owner[n] == n)
#else
#define ADMITS(n) ((state[n] == RECORD_IDLE || (state[n] == RECORD_COMMITTED && n == T && released)) && owner[n] == n)
#endif
#define HAS(n)	     (defined[n] && volumes[n] != NONE && (decided || volumes[n] == NEWEST))
#define MAY_START(n) (on[n] && guest[n] == OFF && ADMITS(n) && HAS(n))
#define MAY_RUN(n)   (on[n] && guest[n] == RUNNING || MAY_START(n))

#define MAY_BECOME(from, to) ((REACHABLE_FROM(to) >> (from)) & 1)

/* ---------------------------------------------------------------- operations of a node; `result` is what they say */

/* The guest runs: never twice, and never from old volumes unless an administrator has decided. */
inline run_guest(n)
{
	assert(guest[1 - n] != RUNNING);
	assert(decided || volumes[n] == NEWEST);
	guest[n] = RUNNING;
	if
	:: COPIES ->
		volumes[n] = NEWEST;
		volumes[1 - n] = (volumes[1 - n] == NEWEST -> OLD : volumes[1 - n])
	:: else
	fi;
	migrated = (n == S -> false : migrated)
}

inline op_lock(n, role)
{
	if
	:: locked[n] -> result = DONE
	:: !locked[n] && MAY_BECOME(state[n], role) -> locked[n] = true; state[n] = role; result = DONE
	:: else -> result = WRONG
	fi
}

inline op_advance(n, to)
{
	if
	:: locked[n] && MAY_BECOME(state[n], to) ->
		result = DONE;
		if
		:: state[n] != to ->
			state[n] = to;
			released = (n == T -> false : released);
#ifdef MISTAKE_PERMIT_OUTLIVES
			permit[n] = false;
#endif
			if
			:: to == RECORD_COMMITTED -> owner[n] = T; generation[n] = COMMIT_GENERATION
			:: else
			fi
		:: else
		fi
	:: else -> result = (state[n] == RECORD_COMMITTED -> WAS_COMMITTED : WRONG)
	fi
}

inline op_reclaim(n, to, who, number)
{
	if
	:: locked[n] ->
		state[n] = to;
		owner[n] = who;
		generation[n] = number;
		released = (n == T -> false : released);
		result = DONE
	:: else -> result = WRONG
	fi
}

/* A record that the task has made, and that is removed, reads as one of a guest that is S's. */
inline op_unlock(n)
{
	if
	:: locked[n] ->
		state[n] = RECORD_IDLE;
		locked[n] = false;
		released = (n == T -> false : released)
	:: else
	fi;
#ifdef MISTAKE_PERMIT_OUTLIVES
	permit[n] = false;
#endif
	result = DONE
}

/* power.c: start_with_permit, of a guest that is off. */
inline op_start(n, held)
{
	result = DONE;
	if
	:: guest[n] != OFF
	:: guest[n] == OFF && (!locked[n] || !defined[n] || volumes[n] == NONE || (held && state[n] != RECORD_HANDOVER)) ->
		result = WRONG
	:: guest[n] == OFF && locked[n] && defined[n] && volumes[n] != NONE && (!held || state[n] == RECORD_HANDOVER) ->
		if
		:: held -> guest[n] = WHOLE
		:: else -> run_guest(n)
		fi
	fi
}

inline op_release(n)
{
	result = DONE;
	if
	:: owner[n] != n || state[n] == RECORD_ABANDONED -> result = WRONG
	:: owner[n] == n && state[n] != RECORD_ABANDONED && (state[n] == RECORD_IDLE || (n == T && released))
	:: else ->
		if
		:: guest[n] == RUNNING
		:: guest[n] == WHOLE -> run_guest(n)
		:: guest[n] == PART -> result = WRONG
		:: guest[n] == OFF -> op_start(n, false)
		fi;
		released = (n == T && state[n] == RECORD_COMMITTED && result == DONE -> true : released)
	fi
}

/* ABORT: the record is ABANDONED on the disk before anything is removed. There is no made journal after the unlock. */
inline op_abort(n)
{
	result = DONE;
	if
	:: locked[n] ->
		op_advance(n, RECORD_ABANDONED);
		if
		:: result == DONE ->
			guest[n] = OFF;
			defined[n] = false;
			volumes[n] = (COPIES -> NONE : volumes[n]);
			op_unlock(n)
		:: else
		fi
	:: else
	fi
}

inline op_publish()
{
	volumes[T] = (COPIES -> volumes[S] : volumes[T]);
	result = (locked[T] -> DONE : WRONG)
}

inline op_give_up(with_volumes)
{
	if
	:: state[S] != RECORD_COMMITTED || owner[S] == S || guest[S] != OFF -> result = WRONG
	:: else ->
		/* Nothing is removed before the target has COMMITTED on its disk. */
		assert(owner[T] == T && generation[T] >= COMMIT_GENERATION);
		defined[S] = false;
		volumes[S] = (COPIES && with_volumes -> NONE : volumes[S]);
		result = DONE
	fi
}

/* ---------------------------------------------------------------- calls from S to T */

#define LOCK		  1
#define PUBLISH		  2
#define DEFINE		  3
#define HANDOVER	  4
#define START_HELD	  5
#define ABANDON		  6
#define DESTROY		  7
#define COMMIT		  8
#define RELEASE		  9
#define UNLOCK		  10
#define ABORT		  11
#define RECLAIM_ABANDONED 12
#define RECLAIM_COMMITTED 13

inline operate(operation)
{
	if
	:: operation == LOCK -> op_lock(T, RECORD_TARGET)
	:: operation == PUBLISH -> op_publish()
	:: operation == DEFINE -> defined[T] = locked[T]; result = (locked[T] -> DONE : WRONG)
	:: operation == HANDOVER -> op_advance(T, RECORD_HANDOVER)
	:: operation == START_HELD -> op_start(T, true)
	:: operation == ABANDON -> op_advance(T, RECORD_ABANDONED)
	:: operation == DESTROY -> guest[T] = OFF; result = DONE
	:: operation == COMMIT -> op_advance(T, RECORD_COMMITTED)
	:: operation == RELEASE -> op_release(T)
	:: operation == UNLOCK -> op_unlock(T)
	:: operation == ABORT -> op_abort(T)
	:: operation == RECLAIM_ABANDONED -> op_reclaim(T, RECORD_ABANDONED, S, DECISION_GENERATION)
	:: operation == RECLAIM_COMMITTED -> op_reclaim(T, RECORD_COMMITTED, T, COMMIT_GENERATION)
	fi
}

#define NOTHING 0
byte request, answer; /* S's call, and what came of it, plus 1 */

/* T's agent, and the link. An operation is done whole: power is cut before or after it. A request is lost where the link is down;
 * a reply where it goes down now. A late request is done after its caller has given it up, but not after a new connection: that
 * ends the agent of the old one. */
proctype Agent()
{
	byte operation, result;
	bool lost;
end_agent:
	do
	:: atomic {
		if
		:: request != NOTHING && !REACH -> result = SILENT
		:: request != NOTHING && REACH -> late = NOTHING; operation = request
		:: request != NOTHING && REACH && FAULT -> faults--; late = NOTHING; operation = request; lost = true
		:: request != NOTHING && REACH && FAULT -> faults--; late = request; lost = true
		:: request == NOTHING && late != NOTHING && on[T] && !quiet -> operation = late; late = NOTHING
		fi;
#ifdef MISTAKE_PERMIT_OUTLIVES
		/* The agent is killed in the middle of a start. */
		if
		:: FAULT && (operation == START_HELD || operation == RELEASE) && locked[T] && guest[T] == OFF ->
			faults--; permit[T] = true; result = SILENT; operation = NOTHING
		:: true
		fi;
#endif
		d_step {
			if
			:: operation != NOTHING -> operate(operation)
			:: else
			fi;
			link = link && !lost;
			answer = (request == NOTHING -> answer : 1 + (lost -> SILENT : result));
			request = NOTHING;
			operation = NOTHING;
			result = 0;
			lost = false
		}
	   }
	od
}

inline call(operation)
{
	request = operation;
	d_step { answer != 0 -> result = answer - 1; answer = 0 }
}

/* T's record, or the guest there. */
inline look(what)
{
	d_step { result = (REACH -> DONE : SILENT); seen = (what) && REACH; late = (REACH -> NOTHING : late) }
}

#define HERE(operation) d_step { operation }
#define OR_UNSETTLED	if :: result == DONE :: else -> goto unsettled fi
#define OR_BACKWARD	if :: result == DONE :: else -> goto backward fi
#define IF_IN(phase)	if :: (MODES_##phase & MODE) != 0
#define FI		:: else fi

/* A record of the journal that says what was undone is written over a commit whose write failed before it. */
#define NOTE(record) atomic { record = true; commit = commit && !doubt; doubt = false }

/* ---------------------------------------------------------------- resolve.c, steps-handover.c, steps.c */

/* seen: the guest is the target's. */
inline resolve()
{
	look(state[T] != RECORD_ABANDONED && (guest[T] == RUNNING || (guest[T] == WHOLE && guest[S] == OFF)));
	atomic {
		if
		:: result == DONE
		:: result != DONE && guest[S] == RUNNING -> seen = false
		:: else -> goto unsettled
		fi
	}
}

inline target_is_chosen()
{
	look(owner[T] == T && generation[T] > COMMIT_GENERATION)
}

inline end_on_target(source_runs)
{
	call(ABANDON);
	if
	:: result == DONE -> call(DESTROY)
	:: else
	fi;
	if
	:: result == WRONG ->
		target_is_chosen();
		if
		:: result == DONE && seen -> goto unsettled
		:: else
		fi
	:: else
	fi;
	if
	:: result == DONE
	:: result == WAS_COMMITTED -> goto unsettled
#ifdef MISTAKE_SILENCE_IS_NEVER_KNEW
	:: result == SILENT -> pending = true
#else
	:: result == SILENT ->
		if
		:: keeps_source -> pending = true
		:: !keeps_source && source_runs -> pending = true; went_on = true
		:: else -> goto unsettled
		fi
#endif
	fi
}

inline abort_on_target()
{
	call(ABORT);
	if
	:: result == WAS_COMMITTED -> goto unsettled
	:: else -> pending = (result != DONE)
	fi
}

/* A start on S. A worker that is killed in the middle of it leaves its permit. */
inline start_here()
{
#ifdef MISTAKE_PERMIT_OUTLIVES
	atomic {
		if
		:: FAULT && locked[S] && guest[S] == OFF -> faults--; permit[S] = true; goto unsettled
		:: true
		fi
	};
#endif
	HERE(op_start(S, false))
}

/* libvirt's job is ended where it still runs: the guest goes on here, or has moved already. */
inline migrate_abort()
{
	if
	:: job == 0
	:: job > 0 -> fail_job()
	:: job == 3 && REACH -> end_job()
	fi
}

inline fail_job()
{
	job = 0;
	guest[T] = (guest[T] == PART -> OFF : guest[T]);
	if
	:: guest[S] == WHOLE -> guest[S] = RUNNING
	:: true
	fi
}

inline end_job()
{
	job = 0;
	guest[S] = OFF;
	migrated = true
}

/* ---------------------------------------------------------------- the worker, and recover on S */

proctype Source()
{
	byte result;
	bool seen, pending, doubt, keeps_source;
again:
	{
		true;
end_idle:
		atomic {
			if
			:: on[S] && !begun -> begun = true; goto forward
			:: on[S] && begun && !ended && (!quiet || turn == S) -> goto recover
			:: ended && quiet && turn == S -> goto unsettled
			/* vmmigrate recover TASK --keep: the administrator has made sure that the other node answers, or is off. */
			:: on[S] && begun && !ended && !quiet && !decided && (REACH || !on[T]) ->
				if
				:: true -> goto decide_for_source
				:: REACH -> goto decide_for_target
				fi
			fi
		};

forward:
		true;
		/* PHASE lock */
		HERE(op_lock(S, RECORD_SOURCE));
		OR_BACKWARD;
		call(LOCK);
		OR_BACKWARD;
		/* PHASE pre-hooks */
		/* PHASE prepare */
		/* PHASE precopy */
		/* PHASE rounds */
		/* PHASE switch-hooks */
		/* PHASE stop */
		atomic {
			IF_IN(stop) -> did_stop = true FI
		};
		atomic {
			IF_IN(stop) -> asked = true; guest[S] = OFF FI
		};
		/* PHASE copy */
		/* PHASE verify */
		/* PHASE publish */
		call(PUBLISH);
		OR_BACKWARD;
		/* PHASE define */
		IF_IN(define) ->
			call(DEFINE);
			OR_BACKWARD;
			done_define = true
		FI;
		/* Anything before may fail, or be cancelled. */
		if
		:: true
		:: goto backward
		fi;
		/* PHASE handover */
		IF_IN(handover) ->
			did_handover = true;
			call(HANDOVER);
			OR_BACKWARD;
			HERE(op_advance(S, RECORD_HANDOVER));
			OR_BACKWARD;
			if
			:: MODE == RESTART ->
				call(START_HELD);
				OR_BACKWARD
			:: MODE == LIVE ->
				moving = true;
				/* The permit for incoming memory is void after the state HANDOVER. */
				atomic {
					if
					:: REACH && guest[S] == RUNNING && guest[T] == OFF && locked[T] &&
					   state[T] == RECORD_HANDOVER -> job = 1; guest[T] = PART
					:: true
					fi
				};
				job == 0;
				resolve();
				if
				:: seen
				:: else -> goto backward
				fi
			fi;
			done_handover = true
		FI;
		/* PHASE commit */
write_commit:
		if
		/* Cancelled, or somebody has started the guest here. */
		:: MODE != LIVE -> goto backward
		:: atomic { MODE == LIVE || guest[S] == OFF -> commit = true }
		/* It could not be written, and may be on the disk. */
		:: atomic { FAULT && !commit && (MODE == LIVE || guest[S] == OFF) -> faults--; doubt = true; if :: commit = true :: true fi };
			if
			:: MODE == LIVE -> goto unsettled
			:: else ->
				call(ABANDON);
				OR_UNSETTLED;
				goto backward
			fi
		fi;

finish:
		true;
#ifdef MISTAKE_GIVE_UP_BEFORE_COMMITTED
		HERE(op_advance(S, RECORD_COMMITTED));
		HERE(op_give_up(true));
#endif
		/* PHASE release */
		if
		:: !done_release ->
			HERE(op_advance(S, RECORD_COMMITTED));
			OR_UNSETTLED;
			call(COMMIT);
			OR_UNSETTLED;
			if
			:: RUNS ->
				call(RELEASE);
				OR_UNSETTLED
			:: else
			fi;
			done_release = true
		:: else
		fi;
		/* PHASE settle */
		if
		:: RUNS && !done_settle ->
			call(RELEASE);
			OR_UNSETTLED;
			look(guest[T] == RUNNING);
			OR_UNSETTLED;
			atomic {
				did_not_stay = !seen;
				if
				:: seen -> done_settle = true
				:: else -> goto unsettled
				fi
			}
		:: else
		fi;
		/* PHASE confirm */
		if
		:: !given_up ->
			look(owner[T] == T && generation[T] >= COMMIT_GENERATION);
			OR_UNSETTLED;
			atomic {
				if
				:: seen -> give_up = true
				:: else -> goto unsettled
				fi
			};
			HERE(op_give_up(true));
			OR_UNSETTLED;
			given_up = true
		:: else
		fi;
		/* PHASE post-hooks */
		/* PHASE unlock */
		if
		:: RUNS ->
			call(RELEASE);
			OR_UNSETTLED
		:: else
		fi;
		call(UNLOCK);
		OR_UNSETTLED;
		HERE(op_unlock(S));
		done_unlock = true;
		goto over;

backward:
		if
		:: did_handover && !undone_handover ->
			if
			:: MODE == LIVE ->
				atomic { migrate_abort() };
				if
				:: !keeps_source ->
					resolve();
					if
					:: seen -> goto unsettled
					:: else
					fi
				:: else
				fi
			:: else
			fi;
#ifndef MISTAKE_UNDO_WITHOUT_ASKING
			end_on_target(MODE == LIVE && guest[S] == RUNNING);
#endif
			/* go_on_here */
			if
			:: MODE == LIVE && guest[S] == OFF && migrated -> start_here(); OR_UNSETTLED
			:: MODE == LIVE && guest[S] == WHOLE -> HERE(run_guest(S))
			:: else
			fi;
			NOTE(undone_handover)
		:: else
		fi;
		if
		:: did_stop && !undone_stop ->
			if
			:: asked -> start_here(); OR_UNSETTLED
			:: else
			fi;
			NOTE(undone_stop)
		:: else
		fi;
		/* undo_lock: where the guest has gone on without the target's word, it stays locked until the target is told */
		if
		:: went_on && !keeps_source ->
			target_is_chosen();
			if
			:: result != DONE || seen -> goto unsettled
			:: else
			fi
		:: else
		fi;
		abort_on_target();
		if
		:: went_on && !keeps_source && pending -> goto unsettled
		:: else
		fi;
		/* start_after_boot */
		if
		:: RUNS && rebooted -> start_here(); OR_UNSETTLED
		:: else
		fi;
		HERE(op_unlock(S));
		commit = commit && !doubt;
		goto over;

recover:
		if
		:: decision == S -> goto keep_source_again
		:: decision == T -> goto keep_target
		:: else
		fi;
by_journal:
		if
		:: locked[S] ->
			target_is_chosen();
			if
			:: result == DONE && seen -> goto give_way
			:: else
			fi
		:: else
		fi;
		if
		:: !locked[S] && done_unlock -> goto over
		:: commit && !(!locked[S] && done_unlock) -> goto after_commit
		:: !commit && !locked[S] && !done_unlock -> abort_on_target(); goto over
		:: !commit && locked[S] && MODE == LIVE && did_handover && !undone_handover -> /* after_handover */
			atomic { migrate_abort() };
			resolve();
			if
			:: seen -> goto write_commit
			:: else -> goto backward
			fi
		:: else -> goto backward
		fi;

after_commit:
		true;
		look(locked[T] && state[T] == RECORD_ABANDONED ||
		     !locked[T] && !give_up && (generation[T] < COMMIT_GENERATION || owner[T] == S));
		OR_UNSETTLED;
		if
		:: !seen -> goto finish
		:: seen && !locked[S] -> abort_on_target(); goto over
		:: seen && locked[S] && give_up -> goto unsettled
		:: else
		fi;
		/* take_back */
#ifndef MISTAKE_OWNER_STAYS
		HERE(op_reclaim(S, RECORD_SOURCE, S, 0));
#endif
		goto backward;

give_way:
		atomic {
			if
			:: guest[S] == RUNNING || guest[S] == WHOLE -> goto unsettled
			:: else -> op_reclaim(S, RECORD_COMMITTED, T, DECISION_GENERATION)
			fi
		};
		HERE(op_give_up(false));
		OR_UNSETTLED;
		done_unlock = true;
		HERE(op_unlock(S));
		goto over;

decide_for_source:
		/* may_keep_source, end_on_lost_target: a target that does not answer is off, since the administrator says so. */
		atomic {
			if
			:: give_up || (!REACH && on[T]) -> goto unsettled
			:: !give_up && !REACH && !on[T] -> decided = true; decision = S; goto keep_source
			:: !give_up && REACH && !locked[T] && owner[T] == T && generation[T] >= COMMIT_GENERATION -> goto unsettled
			:: !give_up && REACH && !locked[T] && !(owner[T] == T && generation[T] >= COMMIT_GENERATION) ->
				decided = true; decision = S; goto keep_source
			:: else -> decided = true
			fi
		};
		call(RECLAIM_ABANDONED);
		if
		:: result == DONE -> call(DESTROY)
		:: else
		fi;
		OR_UNSETTLED;
		decision = S;
		goto keep_source;
keep_source_again:
		true;
		look(locked[T]);
		if
		:: result == DONE && seen ->
			call(RECLAIM_ABANDONED);
			if
			:: result == DONE -> call(DESTROY)
			:: else
			fi;
			OR_UNSETTLED
		:: result == DONE && !seen ->
			target_is_chosen();
			if
			:: result == DONE && seen -> goto by_journal
			:: else
			fi
		:: else
		fi;
keep_source:
		keeps_source = true;
		if
		:: !locked[S] -> abort_on_target(); goto over
		:: else
		fi;
		HERE(op_reclaim(S, RECORD_SOURCE, S, DECISION_GENERATION));
		if
		:: RUNS -> start_here(); OR_UNSETTLED
		:: else
		fi;
		goto backward;

decide_for_target:
		true;
		/* may_keep_target, arrived_by_journal */
		look((defined[T] || guest[T] != OFF) && (locked[S] || give_up) &&
		     (commit || done_handover || guest[T] == RUNNING || guest[T] == WHOLE || (MODE == OFFLINE && done_define)));
		atomic {
			if
			:: result == DONE && seen -> decided = true; decision = T
			:: else -> goto unsettled
			fi
		};
keep_target:
		atomic {
			guest[S] = (give_up -> guest[S] : OFF);
			commit = true
		};
		if
		:: !done_release ->
			HERE(op_reclaim(S, RECORD_COMMITTED, T, COMMIT_GENERATION));
			OR_UNSETTLED;
			call(RECLAIM_COMMITTED);
			OR_UNSETTLED
		:: else
		fi;
		done_settle = true;
		goto finish;

over:
		ended = !pending; /* else T has still to be told: recover goes on */
unsettled:
		skip
	} unless { killed[S] };
	atomic {
		killed[S] = false; request = NOTHING; answer = 0;
		turn = (quiet && turn == S -> NOBODY : turn);
		result = 0; seen = false; pending = false; doubt = false; keeps_source = false;
		goto again
	}
}

/* ---------------------------------------------------------------- recover on T (engine/recover-all.c) */

proctype Target()
{
	byte result;
again:
	{
		true;
end_idle:
		atomic {
			if
			/* S recovers first. Its record is left alone while its task has it. */
			:: locked[T] && (!quiet || turn == T) && REACH && !locked[S] && begun ->
				if
				:: owner[S] == T -> goto take_over
				:: else -> goto abort_here
				fi
			:: quiet && turn == T && (!locked[T] || locked[S]) -> goto over
			/* --keep on T: the administrator has made sure that S is off. */
			:: locked[T] && on[T] && !on[S] && !decided && !quiet ->
				if
				/* keep_here: arrived_by_record */
				:: (defined[T] || guest[T] != OFF) && (guest[T] == RUNNING || guest[T] == WHOLE ||
				   state[T] == RECORD_COMMITTED || (guest[T] == OFF && state[T] == RECORD_HANDOVER)) ->
					decided = true;
					op_reclaim(T, RECORD_COMMITTED, T, DECISION_GENERATION);
					goto take_over
				:: decided = true; goto abort_here
				fi
			fi
		};

take_over:
		true;
		HERE(op_advance(T, RECORD_COMMITTED));
		if
		:: result == DONE && RUNS -> HERE(op_release(T))
		:: else
		fi;
		if
		:: result == DONE -> HERE(op_unlock(T))
		:: else
		fi;
		goto over;
abort_here:
		true;
		HERE(op_abort(T));
over:
		skip
	} unless { killed[T] };
	atomic {
		killed[T] = false;
		turn = (quiet && turn == T -> NOBODY : turn);
		result = 0;
		goto again
	}
}

/* ---------------------------------------------------------------- libvirt's job: it needs no process of ours */

#if MODE == LIVE
proctype Libvirt()
{
end_libvirt:
	do
	:: atomic { job == 1 && REACH -> job = 2; guest[S] = WHOLE }
	:: atomic { job == 2 && REACH -> job = 3; guest[T] = WHOLE; defined[T] = true }
	:: atomic { job == 3 && REACH -> end_job() }
	:: atomic { job > 0 -> fail_job() }
	od
}
#endif

/* ---------------------------------------------------------------- everything else that happens */

inline cut_power(n)
{
	on[n] = false;
	killed[n] = true;
	guest[n] = OFF;
	if
	:: n == T -> late = NOTHING; released = false; if :: job > 0 -> fail_job() :: else fi
	:: n == S -> rebooted = true; migrated = false; job = 0; guest[T] = (guest[T] == PART -> OFF : guest[T])
	fi
#ifdef MISTAKE_PERMIT_OUTLIVES
	; permit[n] = false
#endif
}

proctype World()
{
	byte pass;
	do
	:: atomic { FAULT && on[S] && !killed[S] -> faults--; killed[S] = true }
	:: atomic { FAULT && on[T] && !killed[T] && locked[T] && !locked[S] -> faults--; killed[T] = true }
	:: atomic { FAULT && on[S] -> faults--; cut_power(S) }
	:: atomic { FAULT && on[T] -> faults--; cut_power(T) }
	:: atomic { FAULT && link -> faults--; link = false }
	:: atomic { FAULT && guest[T] == RUNNING -> faults--; guest[T] = OFF } /* it ends by itself */
	:: atomic { !link -> link = true }
	:: atomic { !on[S] && !killed[S] -> on[S] = true }
	:: atomic { !on[T] && !killed[T] -> on[T] = true }
	/* By autostart or by hand. */
	:: atomic { begun && MAY_START(S) -> run_guest(S) }
	:: atomic { begun && MAY_START(T) -> run_guest(T) }
#ifdef MISTAKE_PERMIT_OUTLIVES
	:: atomic { on[S] && permit[S] && guest[S] == OFF && HAS(S) -> run_guest(S) }
	:: atomic { on[T] && permit[T] && guest[T] == OFF && HAS(T) -> run_guest(T) }
#endif
	:: atomic { REACH && begun && !killed[S] && !killed[T] -> quiet = true; late = NOTHING; break }
	od;
	do
	:: atomic { pass < 6 && turn == NOBODY -> turn = pass % 2; pass++ }
	:: atomic { pass == 6 && turn == NOBODY ->
		/* Both nodes have been seen: one of them can run the guest, and the doubt has ended. */
		assert(MAY_RUN(S) || MAY_RUN(T));
		assert(ended && !locked[S] && !locked[T] || did_not_stay && MAY_RUN(T));
		break }
	od
}

/* Never two that run or may run. */
proctype Never_two()
{
end_never:
	atomic { MAY_RUN(S) && MAY_RUN(T) -> assert(false) }
}

init
{
	atomic {
		defined[S] = true;
		volumes[S] = NEWEST;
		volumes[T] = (COPIES -> NONE : NEWEST);
		guest[S] = (RUNS -> RUNNING : OFF);
		run Source();
		run Target();
		run Agent();
#if MODE == LIVE
		run Libvirt();
#endif
		run World();
		run Never_two()
	}
}
