#include "simulator/stream/task.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>

#include "simulator/device/settings.h"
#include "simulator/report/fault.h"

namespace sim {
namespace {

thread_local double time_spent = 0;
thread_local bool in_task = false;
bool forked = false;

/// A task that throws ends the program: there is nobody to hand the error to.
void run_work(Task& task) {
  time_spent = 0;
  if (!task.work) return;
  const TaskScope scope;
  try {
    task.work();
  } catch (const Fault& fault) {
    stop_program(fault);
  } catch (const std::exception& error) {
    Fault fault;
    fault.kind = "not simulated";
    fault.details = error.what();
    stop_program(fault);
  }
}

}  // namespace

std::mutex& state_mutex() {
  static auto* const m = new std::mutex;
  return *m;
}

void watch_forks() {
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
}
bool in_child() { return forked; }

void spend(double nanoseconds) { time_spent += nanoseconds; }
double spent() { return time_spent; }
bool inside_task() { return in_task; }
TaskScope::TaskScope() : before_(in_task) { in_task = true; }
TaskScope::~TaskScope() { in_task = before_; }

Executor& Executor::get() {
  static auto* const e = new Executor;
  return *e;
}

/// A program that is late in the host's eyes and one that is early are different mistakes: some
/// seeds run next to nothing ahead, others all that they can.
Executor::Executor() : random_(settings().seed) {
  constexpr unsigned kEagerness[] = {0, 16, 128, 256};
  if (settings().seed != 0) eagerness_ = kEagerness[random_() % std::size(kEagerness)];
}

TaskPtr Executor::submit(std::function<void()> work, int device, const std::vector<TaskPtr>& after,
                         bool host) {
  auto task = std::make_shared<Task>();
  task->host = host;
  task->work = std::move(work);
  task->device = device;
  task->start = host_time_;
  for (const TaskPtr& t : after) {
    if (!t) continue;
    if (t->done) {
      task->start = std::max(task->start, t->finish);
    } else {
      task->after.push_back(t);
      t->before.push_back(task);
    }
  }
  task->missing = task->after.size();
  if (task->missing == 0) others_.push_back(task);
  pending_[task->number = ++count_] = task;
  return task;
}

void Executor::want(const TaskPtr& task) {
  std::vector<TaskPtr> open{task};
  while (!open.empty()) {
    const TaskPtr t = std::move(open.back());
    open.pop_back();
    if (t->done || t->wanted) continue;
    t->wanted = true;
    if (t->missing == 0 && std::erase(others_, t) > 0) wanted_.push_back(t);
    for (const TaskPtr& needed : t->after) open.push_back(needed);
  }
}

/// One of the tasks that are ready but that nothing waits for; null if there is none.
TaskPtr Executor::stray() {
  std::vector<size_t> may;
  for (size_t i = 0; i < others_.size(); i++)
    if (!others_[i]->host) may.push_back(i);
  if (may.empty()) return nullptr;
  std::swap(others_[may[random_() % may.size()]], others_.back());
  TaskPtr task = std::move(others_.back());
  others_.pop_back();
  return task;
}

/// One of the tasks that are ready and wanted; where a seed was given, now and then another.
TaskPtr Executor::choose() {
  const bool seeded = settings().seed != 0;
  if (seeded && random_() % 4 == 0)
    if (TaskPtr other = stray()) return other;
  if (wanted_.empty()) throw std::logic_error("waiting for work that can never run");
  const auto newer = [](const TaskPtr& a, const TaskPtr& b) { return a->number < b->number; };
  const auto it = seeded ? wanted_.begin() + ptrdiff_t(random_() % wanted_.size())
                         : std::max_element(wanted_.begin(), wanted_.end(), newer);
  std::swap(*it, wanted_.back());
  TaskPtr task = std::move(wanted_.back());
  wanted_.pop_back();
  return task;
}

void Executor::finish(Task& task) {
  task.done = true;
  task.finish = task.start + spent();
  for (const TaskPtr& next : task.before) {
    next->start = std::max(next->start, task.finish);
    if (--next->missing == 0) (next->wanted ? wanted_ : others_).push_back(next);
  }
  task.before.clear();
  task.after.clear();
}

void Executor::run(Lock& lock, Task& task) {
  running_ = true;
  lock.unlock();
  run_work(task);
  lock.lock();
  running_ = false;
  task.work = nullptr;  // with the lock: what it kept may go now
  finish(task);
  pending_.erase(task.number);
  changed_.notify_all();
}

bool Executor::run_one(Lock& lock) {
  if (running_) {
    changed_.wait(lock);
    return true;
  }
  const TaskPtr task = choose();
  const bool has_work = bool(task->work);
  run(lock, *task);
  return has_work;
}

void Executor::run_ahead(Lock& lock) {
  while (eagerness_ != 0 && !running_ && random_() % 256 < eagerness_) {
    const TaskPtr task = stray();
    if (!task) return;
    run(lock, *task);
  }
}

void Executor::wait(Lock& lock, const TaskPtr& task) {
  if (!task) return;
  want(task);
  while (!task->done) run_one(lock);
  see(*task);
}

bool Executor::poll(Lock& lock, const TaskPtr& task) {
  if (!task) return true;
  want(task);
  while (!task->done && !run_one(lock)) {
  }
  if (task->done) see(*task);
  return task->done;
}

bool Executor::idle(int device) const {
  return std::none_of(pending_.begin(), pending_.end(),
                      [&](const auto& p) { return device < 0 || p.second->device == device; });
}

void Executor::wait_all(Lock& lock, int device) {
  std::vector<TaskPtr> all;
  for (const auto& [number, t] : pending_)
    if (device < 0 || t->device == device) all.push_back(t);
  for (const TaskPtr& t : all) want(t);
  for (const TaskPtr& t : all) wait(lock, t);
}

}  // namespace sim
