#include "train/providers.h"

#ifdef NOISETTE_CUDA

#include <spdlog/spdlog.h>

#include "kernels/cuda/providers/providers.h"
#include "train/provider_cache.h"

namespace noisette {
namespace {

using namespace cuda::providers;

void warn(const std::string& text) { spdlog::warn("{}", text); }

/// Their names are added to `names`.
std::unique_ptr<Selection> select_on(int device, std::string& names) {
  cuda::use_device(device);
  auto all = installed(warn);
  for (const auto& p : all)
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", p->name(), p->version());
  if (all.empty()) return nullptr;
  Owner owner{.warn = warn, .known = {}, .keep = [](const std::string&, const Choice&) {}};
  if (const auto folder = cache_folder()) {
    const ProviderCache cache(
        *folder,
        fmt::format("{}, driver {}, {}", cuda::device_info(device).name, driver_version(), names));
    owner.known = cache.load();
    owner.keep = [cache](const std::string& key, const Choice& c) { cache.save({{key, c}}); };
  }
  return std::make_unique<Selection>(std::move(all), real_card(device), std::move(owner));
}

}  // namespace

std::string use_providers(const TrainConfig& config) {
  const RunConfig& run = config.run;
  const Device device = run.device();
  const bool wanted =
      device.type == DeviceType::cuda && run.providers != Providers::none && !run.deterministic;
  static int of = -1;  // the device that was looked at last
  static std::string names;
  if (!wanted) {
    of = -1;
    use(nullptr);
    return {};
  }
  if (std::exchange(of, device.index) != device.index) {
    names.clear();
    use(select_on(device.index, names));
  }
  return names.empty() ? "none" : names;
}

}  // namespace noisette

#else

namespace noisette {
std::string use_providers(const TrainConfig&) { return {}; }
}  // namespace noisette

#endif
