// Objects that the program holds by pointer: looked up and destroyed with a check that they live.
#pragma once
#include <memory>
#include <unordered_map>

#include "simulator/report/api_error.h"

namespace sim {

template <class T>
class Handles {
 public:
  T* add(std::unique_ptr<T> object) {
    T* key = object.get();
    live_[key] = std::move(object);
    return key;
  }
  T& get(const void* handle, cudaError_t otherwise) const {
    auto it = live_.find(handle);
    if (it == live_.end()) fail(otherwise);
    return *it->second;
  }
  std::unique_ptr<T> take(const void* handle, cudaError_t otherwise) {
    auto it = live_.find(handle);
    if (it == live_.end()) fail(otherwise);
    std::unique_ptr<T> object = std::move(it->second);
    live_.erase(it);
    return object;
  }
  bool has(const void* handle) const { return live_.count(handle) > 0; }
  template <class F>
  void each(F&& f) const {
    for (const auto& [key, object] : live_) f(*object);
  }

 private:
  std::unordered_map<const void*, std::unique_ptr<T>> live_;
};

}  // namespace sim
