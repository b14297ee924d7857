//! Finalized features (KIP-584). A broker of 2.7 supports none, so none can be finalized; one that stands there may be deleted.

use std::collections::BTreeMap;

use kafka_proto::ErrorCode;

use crate::controller::{Controller, Turn};
use crate::operation::{CreateMode, Failure, Operation, Outcome, Reply};
use crate::request::{Answer, FeatureUpdate, Refusal};
use crate::znode::{self, FeatureRange, FeatureStatus, Features};

impl Controller {
    /// Takes what stands in `/feature` at the start of an office; gives back what must be written there for this broker's inter-broker
    /// protocol, and whether the znode is made.
    pub(crate) fn set_up_features(&mut self, found: Outcome, turn: &mut Turn<'_>) -> Option<(Features, bool)> {
        let status = if self.settings.feature_versioning { FeatureStatus::Enabled } else { FeatureStatus::Disabled };
        let content = match found {
            Ok(Reply::Data(content, _)) => content.unwrap_or_default(),
            Err(Failure::NoNode) => {
                self.context.features = Features { status, ranges: BTreeMap::new() };
                let line = format!(
                    "Creating FeatureZNode at path: {} with contents: {status:?}, no finalized features",
                    znode::FEATURE
                );
                self.log(&line, turn);
                return Some((self.context.features.clone(), true));
            }
            _ => return None,
        };
        let before = match Features::decode(&content) {
            Ok(before) => before,
            Err(error) => {
                self.error(&error.to_string(), turn);
                return None;
            }
        };
        if before.status == FeatureStatus::Disabled && !before.ranges.is_empty() {
            let line = format!(
                "FeatureZNode at path: {} with disabled status contains non-empty features: {:?}",
                znode::FEATURE,
                before.ranges
            );
            self.warn(&line, turn);
        }
        let keeps = status == FeatureStatus::Enabled && before.status == FeatureStatus::Enabled;
        let ranges = if keeps { before.ranges.clone() } else { BTreeMap::new() };
        self.context.features = Features { status, ranges };
        if self.context.features == before {
            return None;
        }
        self.log(&format!("Updating FeatureZNode at path: {} with contents: {status:?}", znode::FEATURE), turn);
        Some((self.context.features.clone(), false))
    }

    /// Writes `/feature`, if there is anything to write.
    pub(crate) fn write_features(&mut self, write: Option<(Features, bool)>, turn: &mut Turn<'_>) {
        let Some((features, is_new)) = write else { return };
        let (path, data) = (znode::FEATURE.to_owned(), Some(features.encode()));
        let operation = if is_new {
            Operation::Create { path, data, mode: CreateMode::Persistent }
        } else {
            Operation::SetData { path, data, version: -1 }
        };
        self.ask(vec![self.fenced(operation)], turn, |this, outcomes, turn| {
            if let Some(Err(failure)) = outcomes.first()
                && *failure != Failure::NodeExists
            {
                this.error(&format!("Failed to write {}: {failure}", znode::FEATURE), turn);
            }
        });
    }

    /// Somebody wrote `/feature`.
    pub(crate) fn features_changed(&mut self, turn: &mut Turn<'_>) {
        let path = znode::FEATURE.to_owned();
        let operations =
            vec![Operation::Exists { path: path.clone(), watch: true }, Operation::GetData { path, watch: false }];
        self.ask(operations, turn, |this, outcomes, turn| match outcomes.into_iter().nth(1) {
            Some(Ok(Reply::Data(content, _))) => match Features::decode(&content.unwrap_or_default()) {
                Ok(features) => this.context.features = features,
                Err(error) => this.error(&error.to_string(), turn),
            },
            Some(Err(Failure::NoNode)) => this.context.features.ranges.clear(),
            _ => {}
        });
    }

    /// UpdateFeatures: what is valid is written at once, the rest is told why not.
    pub(crate) fn update_features(&mut self, updates: BTreeMap<String, FeatureUpdate>, turn: &mut Turn<'_>) {
        if !self.settings.feature_versioning {
            let refusal = Refusal::new(ErrorCode::INVALID_REQUEST, "Feature versioning system is disabled.");
            return self.answer(Answer::UpdateFeatures(Err(refusal)), turn);
        }
        let mut target = self.context.features.clone();
        let mut answers = BTreeMap::new();
        for (name, update) in updates {
            let answer = judge(&name, update, self.context.features.ranges.get(&name).copied());
            if answer.is_ok() {
                target.ranges.remove(&name);
            }
            let refused = |words| Refusal::new(ErrorCode::INVALID_REQUEST, words);
            answers.insert(name, answer.map_err(refused));
        }
        if target == self.context.features {
            return self.answer(Answer::UpdateFeatures(Ok(answers)), turn);
        }
        let data = Some(target.encode());
        let write = Operation::SetData { path: znode::FEATURE.to_owned(), data, version: -1 };
        self.ask(vec![self.fenced(write)], turn, move |this, outcomes, turn| {
            if let Some(Err(failure)) = outcomes.first() {
                this.warn(&format!("Processing of feature updates failed due to error: {failure}"), turn);
                for answer in answers.values_mut().filter(|answer| answer.is_ok()) {
                    *answer = Err(Refusal::of(ErrorCode::FEATURE_UPDATE_FAILED));
                }
            } else {
                this.context.features = target;
            }
            this.answer(Answer::UpdateFeatures(Ok(answers)), turn);
        });
    }
}

/// Whether the feature may be deleted, which is all that may be done with one; or the original's words why not.
fn judge(name: &str, update: FeatureUpdate, existing: Option<FeatureRange>) -> Result<(), String> {
    let FeatureUpdate { version_level_max: level, allow_downgrade } = update;
    if name.is_empty() {
        return Err("Feature name can not be empty.".to_owned());
    }
    if level < 1 {
        return match (allow_downgrade, existing) {
            (false, _) => Err(format!(
                "Can not provide maxVersionLevel: {level} less than 1 without setting the allowDowngrade flag to true in the request."
            )),
            (true, None) => Err("Can not delete non-existing finalized feature.".to_owned()),
            (true, Some(_)) => Ok(()),
        };
    }
    let unsupported = "Could not apply finalized feature update because the provided feature is not supported.";
    let Some(FeatureRange { min, max }) = existing else { return Err(unsupported.to_owned()) };
    Err(if level == max {
        let way = if allow_downgrade { "downgrade" } else { "upgrade" };
        format!("Can not {way} a finalized feature from existing maxVersionLevel:{max} to the same value.")
    } else if level < max && !allow_downgrade {
        format!(
            "Can not downgrade finalized feature from existing maxVersionLevel:{max} to provided maxVersionLevel:{level} \
             without setting the allowDowngrade flag in the request."
        )
    } else if allow_downgrade && level > max {
        format!(
            "When the allowDowngrade flag set in the request, the provided maxVersionLevel:{level} can not be greater than \
             existing maxVersionLevel:{max}."
        )
    } else if level < min {
        format!(
            "Can not downgrade finalized feature to maxVersionLevel:{level} because it's lower than the existing minVersionLevel:{min}."
        )
    } else {
        unsupported.to_owned()
    })
}
