// noisette info: what is in each kind of file, hashes that tell files apart, one sentence for
// everything else.
#include "framework/io/image.h"
#include "framework/io/safetensors.h"
#include "models/unet/diffusers.h"
#include "tests/train/small_run.h"

namespace noisette {
namespace {

using namespace test;

TEST(Info, DataSet) {
  const Folder folder;
  make_data(folder / "set.h5");
  const std::string path = (folder / "set.h5").string();
  const auto j = run_json({"info", path, "--verify"});
  EXPECT_EQ(j["kind"], "data set");
  EXPECT_EQ(j["images"], 18);
  EXPECT_EQ(j["shape"], (std::vector<int>{8, 8, 1}));
  EXPECT_EQ(j["splits"]["test"], 6);
  EXPECT_EQ(j["class_counts"]["middle"]["train"], 4);
  EXPECT_EQ(j["verified"], true);
  EXPECT_EQ(j["fingerprint"].get<std::string>().size(), 32u);
  EXPECT_EQ(run_json({"info", path, "--hash"})["hash"], j["fingerprint"]);
  EXPECT_CONTAINS(run_command({"info", path}), "made for a test");

  const Image first = Dataset::open(path)->image(0);
  std::string bytes = get(folder / "set.h5");
  const std::size_t at = bytes.find(std::string(first.pixels.begin(), first.pixels.end()));
  ASSERT_NE(at, bytes.npos) << "images lie in the file as they are";
  bytes[at] = char(bytes[at] ^ 1);
  put(folder / "flipped.h5", bytes);
  EXPECT_CONTAINS(run_error_of({"info", (folder / "flipped.h5").string(), "--verify"}),
                  "flipped.h5");
}

TEST(Info, CheckpointHashesFollowTheValues) {
  const Folder folder;
  const TrainConfig config = small_config(folder / "set.h5");
  make_checkpoint(folder / "a.h5", config, 3);
  make_checkpoint(folder / "same.h5", config, 3);
  make_checkpoint(folder / "other.h5", config, 4);
  const auto hash = [&](const char* name) {
    return run_json({"info", (folder / name).string(), "--hash"});
  };
  const auto a = hash("a.h5"), same = hash("same.h5"), other = hash("other.h5");
  EXPECT_EQ(a["hash"], same["hash"]);
  EXPECT_EQ(a["parameters"], same["parameters"]);
  EXPECT_NE(a["hash"], other["hash"]);
  const UNet unet(config.model);
  EXPECT_EQ(a["parameters"].size(), unet.slots().size());
  const char* name = "conv_in.weight";
  EXPECT_NE(a["parameters"][name]["weights"], other["parameters"][name]["weights"]);
  EXPECT_EQ(a["parameters"][name]["weights"], a["parameters"][name]["average"])
      << "the average starts as a copy";
  EXPECT_EQ(a["parameter_count"], unet.parameter_count());
  EXPECT_EQ(a["update"], 10);
  EXPECT_EQ(a["buffers"], (std::vector<std::string>{"master", "ema", "m", "v"}));

  const std::string text = run_command({"info", (folder / "a.h5").string(), "--verify"});
  EXPECT_CONTAINS(text, "down_blocks.0");
  EXPECT_CONTAINS(text, "every checksum agrees");
  EXPECT_CONTAINS(run_command({"info", (folder / "a.h5").string(), "--tensors"}),
                  "down_blocks.0.resnets.0.conv1.weight");
}

TEST(Info, RunFolderStandsForItsNewestCheckpoint) {
  const Folder folder;
  make_data(folder / "set.h5");
  const std::string run = make_run(folder / "run", folder / "set.h5").string();
  EXPECT_CONTAINS(run_json({"info", run})["file"].get<std::string>(), "update-00000010.h5");
}

TEST(Info, SafetensorsAndModelFolder) {
  const Folder folder;
  const std::vector<float> values = {1, 2, NAN, INFINITY};
  const auto bytes = std::as_bytes(std::span(values));
  write_safetensors(folder / "a.safetensors",
                    {{"up.0.w", "F32", Shape{2, 2}, bytes}, {"b", "F32", Shape{1}, bytes.first(4)}},
                    {{"format", "pt"}});
  const std::string path = (folder / "a.safetensors").string();
  const auto j = run_json({"info", path, "--hash", "--verify"});
  EXPECT_EQ(j["tensor_count"], 2);
  EXPECT_EQ(j["value_count"], 5);
  EXPECT_EQ(j["not_finite"], 2);
  EXPECT_EQ(j["metadata"]["format"], "pt");
  EXPECT_EQ(j["tensors"]["b"]["hash"], hash_hex(bytes.first(4)));
  EXPECT_CONTAINS(run_command({"info", path}), "up.0");

  write_safetensors(folder / "none.safetensors", {});
  const std::string none = run_command({"info", (folder / "none.safetensors").string()});
  EXPECT_EQ(none.find("()"), none.npos) << none;

  const TrainConfig config = small_config(folder / "set.h5");
  UNet unet(config.model);
  ParameterArena arena(unet, {.trainable = false});
  arena.initialize(1);
  write_unet_folder(folder / "model", config.model, arena, ParameterArena::Weights::master);
  const auto m = run_json({"info", (folder / "model").string()});
  EXPECT_EQ(m["kind"], "model folder");
  EXPECT_EQ(m["value_count"], unet.parameter_count());
}

TEST(Info, PngTellsHowItWasMade) {
  const Folder folder;
  write_png(folder / "a.png", Image(3, 2, 1, 7), {{"seed", "5"}, {"model", "runs/ä.h5"}});
  const auto j = run_json({"info", (folder / "a.png").string(), "--hash"});
  EXPECT_EQ(j["shape"], (std::vector<int>{2, 3, 1}));
  EXPECT_EQ(j["text"]["seed"], "5");
  EXPECT_EQ(j["text"]["model"], "runs/ä.h5");
}

TEST(Info, EverythingElseIsOneSentence) {
  const Folder folder;
  const auto error = [&](const std::string& name, const std::string& bytes) {
    put(folder / name, bytes);
    return run_error_of({"info", (folder / name).string()});
  };
  EXPECT_CONTAINS(run_error_of({"info", (folder / "none.h5").string()}), "does not exist");
  EXPECT_CONTAINS(run_error_of({"info", folder.path().string()}), "neither a run");
  EXPECT_CONTAINS(error("empty.h5", ""), "is empty");
  EXPECT_CONTAINS(error("config.txt", "[run]\nname = \"x\"\n"), "is none of");
  EXPECT_CONTAINS(error("model.ckpt", "PK\x03\x04 and more"), "safetensors");
  EXPECT_CONTAINS(error("cut.safetensors", "\x10"), "cut.safetensors");
  EXPECT_CONTAINS(error("cut.png", "\x89PNG\r\n\x1a\n"), "cut.png");
  EXPECT_CONTAINS(error("cut.h5", "\x89HDF\r\n\x1a\n and more"), "cut.h5");

  hdf5::File foreign = hdf5::File::create(folder / "foreign.h5");
  foreign.set("/", "format", "something else");
  foreign.finish();
  EXPECT_CONTAINS(run_error_of({"info", (folder / "foreign.h5").string()}), "neither a data set");

  make_data(folder / "set.h5");
  const std::string whole = get(folder / "set.h5");
  for (const double share : {0.1, 0.5, 0.9, 0.99})
    EXPECT_CONTAINS(error("part.h5", whole.substr(0, std::size_t(share * double(whole.size())))),
                    "part.h5");
}

}  // namespace
}  // namespace noisette
