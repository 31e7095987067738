// A shared library that is opened while the program runs, and stays open.
#pragma once
#include <dlfcn.h>

#include <cstddef>
#include <initializer_list>
#include <string>

namespace noisette::cuda::providers {

class Library {
 public:
  /// The first of the names that the system's loader finds.
  explicit Library(std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (handle_ == nullptr) handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    complete_ = handle_ != nullptr;
  }
  /// Whether it is there, with all functions that were asked for by now.
  bool complete() const { return complete_; }

  template <class F>
  void find(F*& function, const char* name) {
    if (handle_ != nullptr) function = reinterpret_cast<F*>(dlsym(handle_, name));
    complete_ = complete_ && function != nullptr;
  }

 private:
  void* handle_ = nullptr;
  bool complete_ = false;
};

/// "9.19.0" of 91900, as cuBLASLt and cuDNN count.
inline std::string version_text(std::size_t number) {
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

}  // namespace noisette::cuda::providers
