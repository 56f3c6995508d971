//! The values of one mail: what happened to whom, and the links, as texts of the reader's language.

/// The values that templates can use as `w`.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[expect(missing_docs, reason = "docs/mail.md describes each")]
pub struct TemplateContext {
    pub language: String,
    pub app_name: String,
    pub name: String,
    pub email: String,
    pub new_email: String,
    pub link: String,
    pub code: String,
    pub lifetime: String,
    pub page: String,
    pub time: String,
    pub device: String,
    pub network: String,
    pub other_device: String,
    pub other_network: String,
    pub other_time: String,
    pub left: String,
}
