// The host's threads that run blocks, kept from launch to launch.
#pragma once
#include <cstddef>
#include <functional>

namespace sim {

/// Calls `work` on `count` threads at once, this one among them, and returns when all are done.
void run_on_threads(size_t count, const std::function<void()>& work);

}  // namespace sim
