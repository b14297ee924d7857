//! The finalized features.

use kafka_control::{Answer, ControllerSettings, FeatureUpdate, Request};
use kafka_proto::ErrorCode;

use crate::world::{World, settings};

const FEATURE: &str = "/feature";

fn with_protocol(is_new: bool, before: Option<&str>) -> World {
    let mut world = World::empty();
    if let Some(before) = before {
        world.create(FEATURE, before);
    }
    world.start_with(ControllerSettings { feature_versioning: is_new, ..settings(0) });
    world.run();
    world
}

#[test]
fn the_znode_follows_the_inter_broker_protocol() {
    let on = r#"{"features":{},"version":1,"status":1}"#;
    let off = r#"{"features":{},"version":1,"status":0}"#;
    let with_feature = r#"{"features":{"f":{"min_version_level":1,"max_version_level":2}},"version":1,"status":1}"#;
    let text = |is_new, before| with_protocol(is_new, before).text(FEATURE);
    assert_eq!(text(true, None), on);
    assert_eq!(text(false, None), off);
    assert_eq!(text(true, Some(off)), on);
    assert_eq!(text(false, Some(on)), off);
    assert_eq!(text(true, Some(with_feature)), with_feature);
    assert_eq!(text(false, Some(with_feature)), off);
    assert_eq!(text(true, Some("{")), "{", "what can't be read is left");
    assert!(with_protocol(true, Some("{")).has_logged("invalid content of znode /feature"));
}

fn update(world: &mut World, name: &str, level: i16, allow_downgrade: bool) -> Result<(), (ErrorCode, String)> {
    let wish = FeatureUpdate { version_level_max: level, allow_downgrade };
    match world.ask(Request::UpdateFeatures([(name.to_owned(), wish)].into())) {
        Answer::UpdateFeatures(Ok(mut answers)) => {
            answers.remove(name).unwrap().map_err(|refusal| (refusal.code, refusal.message.unwrap()))
        }
        Answer::UpdateFeatures(Err(refusal)) => Err((refusal.code, refusal.message.unwrap())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_feature_can_be_finalized_and_each_refusal_has_the_originals_words() {
    let mut world = with_protocol(true, None);
    let mut words = |name, level, allow_downgrade| {
        let (code, words) = update(&mut world, name, level, allow_downgrade).unwrap_err();
        assert_eq!(code, ErrorCode::INVALID_REQUEST);
        words
    };
    assert_eq!(words("", 1, false), "Feature name can not be empty.");
    assert_eq!(
        words("f", 1, false),
        "Could not apply finalized feature update because the provided feature is not supported."
    );
    assert_eq!(words("f", 0, true), "Can not delete non-existing finalized feature.");
    assert_eq!(
        words("f", 0, false),
        "Can not provide maxVersionLevel: 0 less than 1 without setting the allowDowngrade flag to true in the request."
    );
    let mut old = with_protocol(false, None);
    assert_eq!(update(&mut old, "f", 1, false).unwrap_err().1, "Feature versioning system is disabled.");
}

#[test]
fn a_feature_that_stands_there_may_be_deleted_and_nothing_else() {
    let two = r#"{"features":{"f":{"min_version_level":2,"max_version_level":4},"g":{"min_version_level":1,"max_version_level":1}},"version":1,"status":1}"#;
    let mut world = with_protocol(true, Some(two));
    let mut words = |level, allow_downgrade| update(&mut world, "f", level, allow_downgrade).unwrap_err().1;
    assert_eq!(
        words(4, false),
        "Can not upgrade a finalized feature from existing maxVersionLevel:4 to the same value."
    );
    assert_eq!(
        words(3, false),
        "Can not downgrade finalized feature from existing maxVersionLevel:4 to provided maxVersionLevel:3 \
         without setting the allowDowngrade flag in the request."
    );
    assert_eq!(
        words(5, true),
        "When the allowDowngrade flag set in the request, the provided maxVersionLevel:5 can not be greater than \
         existing maxVersionLevel:4."
    );
    assert_eq!(
        words(1, true),
        "Can not downgrade finalized feature to maxVersionLevel:1 because it's lower than the existing minVersionLevel:2."
    );
    assert!(words(3, true).ends_with("is not supported.") && words(5, false).ends_with("is not supported."));
    assert_eq!(update(&mut world, "f", 0, true), Ok(()));
    assert_eq!(
        world.text(FEATURE),
        r#"{"features":{"g":{"min_version_level":1,"max_version_level":1}},"version":1,"status":1}"#
    );
    assert!(update(&mut world, "f", 0, true).is_err());
    // What others write is heard of.
    world.set(FEATURE, two);
    assert_eq!(update(&mut world, "f", 0, true), Ok(()));
}
