// Work beside the program, as on a card: what it asked about by a query, and what has waited long
// while no thread of the program waits for anything, for the program may look for it in memory.
// The threads live as long as the process. They hold the lock but in sleep and in a task's work;
// they touch nothing that goes at exit, which waits for the work that they run.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "simulator/device/settings.h"
#include "simulator/report/fault.h"
#include "simulator/stream/task.h"

namespace sim {
namespace {

constexpr std::chrono::milliseconds kTick{20};

/// Signals are for the program's threads, but for those that a thread's own instructions cause.
template <class Body>
void start_thread(Body body) {
  sigset_t all, before;
  sigfillset(&all);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, own);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread(std::move(body)).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

void Executor::start_helper(bool host) {
  if (std::exchange(helpers_[host], true)) return;
  start_thread([this, host] { help(host); });
}

void Executor::help(bool host) {
  Lock lock(state_mutex());
  const auto mine = [host](const Task& t) { return t.handed && t.host == host; };
  for (;;) {
    if (const TaskPtr task = take(wanted_, mine))
      run(lock, task);
    else
      work_for_helpers_.wait(lock);
  }
}

void Executor::hand_over(const TaskPtr& task) {
  const size_t before = handed_;
  want(task, true);
  if (handed_ != before) work_for_helpers_.notify_all();
}

/// What the seed lets run early is as good as over when the call returns, but for a kernel that
/// waits for the program.
bool Executor::run_beside(Lock& lock, const TaskPtr& task) {
  others_.push_back(task);
  hand_over(task);
  ++waiting_;
  const bool done = changed_.wait_for(lock, kTicks * kTick, [&] { return task->done; });
  --waiting_;
  if (!done && !std::exchange(noted_early_, true))
    note("what SIM_SEED=" + std::to_string(settings().seed) +
         " lets run early has not ended after 2 s, so the program goes on beside it; from here on "
         "the order of work depends on time, too");
  return done;
}

void Executor::start_watch() {
  if (!std::exchange(watched_, true))
    start_thread([this] { watch(); });
  else if (std::exchange(resting_, false))
    work_to_watch_.notify_one();
}

/// Counts how often it woke up, not the time: nothing is late in a process that was stopped.
void Executor::watch() {
  Lock lock(state_mutex());
  unsigned ticks = 0;
  for (uint64_t seen = moves_;; seen = moves_) {
    if (pending_.size() == handed_) {
      resting_ = true;
      work_to_watch_.wait(lock, [&] { return !resting_; });
      ticks = 0;
    }
    lock.unlock();
    std::this_thread::sleep_for(kTick);
    lock.lock();
    ticks = waiting_ == 0 && moves_ == seen ? ticks + 1 : 0;
    if (ticks < patience_) continue;
    hand_over_late_work();
    ticks = 0;
  }
}

/// A program that looks for results in memory does so again and again: it waits for the next ones
/// half as long, until it calls a function that waits.
void Executor::hand_over_late_work() {
  std::vector<TaskPtr> late;
  bool any_work = false;
  for (const auto& [number, t] : pending_) {
    if (t->handed) continue;
    late.push_back(t);
    any_work |= bool(t->work);
  }
  if (any_work && !std::exchange(noted_late_, true))
    note(
        "work has waited for 2 s and no thread of the program waits for it, so it runs now beside "
        "the program, as on a card; from here on a forgotten wait may go unseen");
  if (any_work) patience_ = std::max(1u, patience_ / 2);
  for (const TaskPtr& t : late) hand_over(t);
}

}  // namespace sim
