// simulator_tables write|check FOLDER: the tables of supported instructions and functions, from the
// sources. check compares them with what FOLDER has.
#include "simulator/tools/api_names.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "simulator/api/refused.h"
#include "simulator/code/decoder.h"

namespace {

constexpr const char* kRewrite = "cmake --build BUILD --target simulator_write_tables";

std::string head(const std::string& title, const std::string& text) {
  return "# " + title + "\n\nWritten from the sources by `" + kRewrite + "`.\n\n" + text + "\n";
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string instructions() {
  std::string text = head("Instructions of PTX",
                          "An instruction that is not here ends the program with its name and "
                          "line when a kernel that has it is first launched.");
  for (const sim::Family& family : sim::families()) {
    text += "\n## " + std::string(family.name) + "\n\n| instruction | forms |\n|---|---|\n";
    for (const sim::Entry& e : family.entries)
      text += "| `" + escaped(e.opcode) + "` | " + escaped(e.forms) + " |\n";
  }
  return text;
}

/// Programs compiled with --default-stream per-thread call these.
std::string without_suffix(std::string name) {
  for (const std::string suffix : {"_ptsz", "_ptds"})
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  return name;
}

/// "cudaMemcpy2DAsync" -> "cudaMemcpy": functions with the same first word stand together.
std::string family_of(const std::string& name) {
  size_t at = name.starts_with("__") ? 6 : 4;
  const size_t begin = at;
  while (at < name.size() && std::isupper(name[at])) at++;
  if (at > begin + 1) return name.substr(0, at - 1);  // EGL, VDPAU
  while (at < name.size() && std::islower(name[at])) at++;
  return name.substr(0, at);
}

using Names = std::map<std::string, std::set<std::string>>;

std::string listed(const Names& names) {
  std::string text;
  for (const auto& [family, members] : names) {
    text += "| `" + family + "` | ";
    for (const std::string& name : members)
      text += (text.ends_with(" | ") ? "`" : ", `") + name + "`";
    text += " |\n";
  }
  return text;
}

std::string functions() {
  Names have, lack, refuse;
  size_t count = 0, all = 0;
  for (const sim::ApiName& f : sim::api_names()) {
    const std::string name = without_suffix(f.name);
    const bool refused = std::find(std::begin(sim::kRefused), std::end(sim::kRefused), name) !=
                         std::end(sim::kRefused);
    (refused ? refuse : f.address ? have : lack)[family_of(name)].insert(name);
    all++, count += f.address && !refused;
  }
  const std::string table = "| | |\n|---|---|\n";
  return head("Functions of the run time library",
              "Of the " + std::to_string(all) + " functions of CUDA " + sim::toolkit_version() +
                  ", " + std::to_string(count) +
                  " are simulated, counting those with `_ptsz` and `_ptds` that programs "
                  "compiled with `--default-stream per-thread` call.") +
         "\n## Simulated\n\n" + table + listed(have) +
         "\n## Refused\n\nThese return `cudaErrorNotSupported`.\n\n" + table + listed(refuse) +
         "\n## Not simulated\n\nA call of one of these ends the program with exit code 86 and its "
         "name.\n\n" +
         table + listed(lack);
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int check(const std::string& path, const std::string& text) {
  const std::string there = read(path);
  if (there == text) return 0;
  const std::string version = std::string("functions of CUDA ") + sim::toolkit_version();
  if (path.ends_with("API.md") && there.find(version) == there.npos) {
    std::printf("%s is of another version of CUDA than %s\n", path.c_str(), sim::toolkit_version());
    return 0;
  }
  std::printf("%s is not what the sources have; write it anew: %s\n", path.c_str(), kRewrite);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what != "write" && what != "check") {
    std::printf("usage: simulator_tables write|check FOLDER\n");
    return 2;
  }
  const std::string folder = argv[2];
  const std::map<std::string, std::string> files = {{folder + "/INSTRUCTIONS.md", instructions()},
                                                    {folder + "/API.md", functions()}};
  int different = 0;
  for (const auto& [path, text] : files) {
    if (what == "check")
      different |= check(path, text);
    else
      std::ofstream(path, std::ios::binary) << text;
  }
  return different;
}
