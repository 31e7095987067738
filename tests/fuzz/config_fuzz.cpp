// Any bytes as a configuration file and as --set flags: either a UsageError or a struct whose
// resolved file reads back to itself. Lines that begin with "--set " are flags; the rest is the
// file.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/core/check.h"

namespace {

using namespace noisette;

enum class Kind { one, two };
constexpr std::string_view kKindNames[] = {"one", "two"};
constexpr std::span<const std::string_view> enum_names(Kind) { return kKindNames; }

struct Inner {
  double d = 1;
  Kind kind = Kind::one;
  std::optional<int64_t> count;
  std::optional<std::string> text;
  void fields(config::Fields& f) {
    f.add("d", d, {.above = 0, .max = 1e6});
    f.add("kind", kind, {});
    f.add("count", count, {.min = 1});
    f.add("text", text, {});
  }
};

struct Outer {
  bool b = false;
  int64_t i = 0;
  std::string s;
  std::vector<int64_t> ints;
  std::vector<double> doubles;
  std::vector<std::string> strings;
  Inner inner;
  void fields(config::Fields& f) {
    f.add("b", b, {});
    f.add("i", i, {.min = 0});
    f.add("s", s, {});
    f.add("ints", ints, {});
    f.add("doubles", doubles, {.min = -1});
    f.add("strings", strings, {});
    f.table("inner", inner);
  }
};

void run(const std::string& file, const std::vector<std::string>& flags) {
  config::Table table = config::parse_text(file, "fuzz.toml");
  for (const std::string& flag : flags) config::apply_override(table, flag);
  const Outer outer = config::from_table<Outer>(table, "fuzz.toml");
  const std::string resolved = config::to_toml(outer, true);
  const Outer back = config::from_text<Outer>(resolved, "resolved.toml");
  if (config::to_toml(back, true) != resolved || !config::diff(outer, back).empty()) std::abort();
  config::to_json(outer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string mark = "--set ";
  std::string file;
  std::vector<std::string> flags;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (line.starts_with(mark))
      flags.push_back(line.substr(mark.size()));
    else
      file += line + "\n";
    begin = end + 1;
  }
  try {
    run(file, flags);
  } catch (const UsageError&) {
  }
  return 0;
}
