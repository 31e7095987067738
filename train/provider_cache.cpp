#include "train/provider_cache.h"

#include <spdlog/spdlog.h>

#include <cctype>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using cuda::providers::Choice;
using cuda::providers::Choices;
using Json = nlohmann::ordered_json;

/// "NVIDIA H100, driver 580.65" is "nvidia-h100-driver-580.65".
std::string file_name(const std::string& machine) {
  std::string name;
  for (const unsigned char c : machine) {
    const bool kept = std::isalnum(c) != 0 || c == '.';
    if (kept)
      name += char(std::tolower(c));
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  return "providers-" + name + ".json";
}

/// Throws std::exception.
Choices read(const fs::path& path, const std::string& machine) {
  const Json file = Json::parse(read_text(path));
  const std::string of = file.at("machine");
  check(of == machine, "it is of '{}'; wanted '{}'", of, machine);
  Choices choices;
  for (const auto& [key, c] : file.at("choices").items())
    choices[key] = {c.at("plan"), c.at("ours"), c.at("theirs"), c.at("fastest")};
  return choices;
}

}  // namespace

ProviderCache::ProviderCache(const fs::path& folder, std::string machine)
    : path_(folder / file_name(machine)), machine_(std::move(machine)) {}

Choices ProviderCache::load() const {
  if (!fs::exists(path_)) return {};
  try {
    return read(path_, machine_);
  } catch (const std::exception& e) {
    spdlog::warn("{} cannot be used, so what it said is measured anew: {}", path_.string(),
                 e.what());
  }
  return {};
}

void ProviderCache::save(const Choices& choices) const {
  Choices all = choices;
  try {
    all.merge(read(path_, machine_));
  } catch (const std::exception&) {
    // There is none, or load() has warned of it.
  }
  Json file;
  file["machine"] = machine_;
  file["choices"] = Json::object();
  for (const auto& [key, c] : all)
    file["choices"][key] = {
        {"plan", c.plan}, {"ours", c.ours}, {"theirs", c.theirs}, {"fastest", c.fastest}};
  try {
    fs::create_directories(path_.parent_path());
    write_file(path_, file.dump(1) + "\n");
  } catch (const std::exception& e) {
    static std::once_flag once;
    std::call_once(once,
                   [&] { spdlog::warn("what libraries measured is not kept: {}", e.what()); });
  }
}

std::optional<fs::path> cache_folder() {
  const auto absolute = [](const char* name) {  // the standard ignores relative ones
    const char* value = std::getenv(name);
    return value != nullptr && value[0] == '/' ? std::optional<fs::path>(value) : std::nullopt;
  };
  if (const auto cache = absolute("XDG_CACHE_HOME")) return *cache / "noisette";
  if (const auto home = absolute("HOME")) return *home / ".cache" / "noisette";
  return {};
}

}  // namespace noisette
