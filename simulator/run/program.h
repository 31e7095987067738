// A module loaded on a device.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "simulator/code/image.h"
#include "simulator/run/launch.h"

namespace sim {

struct Kernel {
  std::unique_ptr<Image> image;
  KernelInfo info;
};

class Program {
 public:
  Program(std::string_view text, int device);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Variables have their initial values again.
  void reset() const;

  /// Decoded when it is first asked for; nullptr: the module has no kernel of that name.
  const Kernel* kernel(std::string_view name) const;

  const std::string text;  // for the profile and the toolkit's assembler
  const size_t hash;       // of that text
  const ptx::Module module;
  const int device;
  Symbols symbols;
  std::unordered_map<std::string, VariableInfo> variables;
  std::vector<std::string> dynamic;  // shared arrays without a size

 private:
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, std::unique_ptr<Kernel>> kernels_;
};

}  // namespace sim
